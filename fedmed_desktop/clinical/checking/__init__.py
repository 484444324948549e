# SPDX-License-Identifier: Apache-2.0
"""The check of notes before they are used: what there is, what cannot be used and why, and what should not be there."""
