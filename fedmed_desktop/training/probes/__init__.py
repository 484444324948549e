# SPDX-License-Identifier: Apache-2.0
"""Probes of an update before it is approved: what does it reveal of the notes that it was trained on?

They attack the model as somebody would who holds the adapter, with and without this round's update. Each is bounded in
time and memory, seeded, and ends when work is stopped. Their numbers are evidence for the site's operator alone.
"""
