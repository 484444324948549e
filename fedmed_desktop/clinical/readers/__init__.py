# SPDX-License-Identifier: Apache-2.0
"""Readers of the formats in which people have their notes; one file each, all giving the same records."""
