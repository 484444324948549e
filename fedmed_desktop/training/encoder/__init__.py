# SPDX-License-Identifier: Apache-2.0
"""The encoder baseline of the papers' ladder: entities by token classification instead of generated text."""
