# SPDX-License-Identifier: Apache-2.0
"""Messages between site and coordinator, and the pull transfer of blobs. No sockets here."""
