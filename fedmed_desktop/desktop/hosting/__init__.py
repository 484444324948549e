# SPDX-License-Identifier: Apache-2.0
"""Hosting: a federation is founded, its coordinator runs as a process of its own, and its sites are looked after."""
