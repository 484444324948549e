# SPDX-License-Identifier: Apache-2.0
"""Cards that look whether this computer can take part."""
