# SPDX-License-Identifier: Apache-2.0
"""Approvals: everything a person sees of an update before deciding, the decision, and the record of earlier ones."""
