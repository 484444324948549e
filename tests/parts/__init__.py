# SPDX-License-Identifier: Apache-2.0
"""Pieces that many tests share: federations, plans, models, notes and windows to test with."""
