# SPDX-License-Identifier: Apache-2.0
"""Federated fine-tuning of clinical language models in which a person approves every adapter that leaves a site."""

__version__ = "0.1.0"
