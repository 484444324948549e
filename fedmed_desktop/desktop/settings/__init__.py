# SPDX-License-Identifier: Apache-2.0
"""The Settings page: what can be chosen, what is set for this computer, what was connected, and a support bundle."""
