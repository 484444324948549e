# SPDX-License-Identifier: Apache-2.0
"""What the desktop shows, as values and pure functions: no Qt, no thread, no file. Tested without a display."""
