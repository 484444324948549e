# SPDX-License-Identifier: Apache-2.0
"""The History page: what a site did and decided, as its audit chain has it."""
