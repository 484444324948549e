# SPDX-License-Identifier: Apache-2.0
"""Rounds, the home page: the round that is on, the one next step, what has improved, and the rounds before."""
