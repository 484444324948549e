# SPDX-License-Identifier: Apache-2.0
"""The guide: a short page for each page of the window and each method, in a window beside it."""
