# SPDX-License-Identifier: Apache-2.0
"""Experiment: the lab's results, opened from their folder: methods compared in a table, and charts."""
