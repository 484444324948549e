# SPDX-License-Identifier: Apache-2.0
"""The lab: methods side by side on the same notes, by the rounds, methods and training of the product."""
