# SPDX-License-Identifier: Apache-2.0
"""The site's notes: what they hold, what cannot be used and why; the same object that --check-notes prints."""
