# SPDX-License-Identifier: Apache-2.0
"""Looks: colours, theme, icons and how entities are marked. Below every room; no part of the work is known here."""
