# SPDX-License-Identifier: Apache-2.0
"""The work behind the window: threads, the session that runs, and the desk, which is all that is known of it."""
