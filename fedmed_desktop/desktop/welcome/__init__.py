# SPDX-License-Identifier: Apache-2.0
"""The first run: four short pages, each of which can be skipped."""
