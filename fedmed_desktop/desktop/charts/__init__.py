# SPDX-License-Identifier: Apache-2.0
"""Charts: one plot with axis, legend and keyboard, and the numbers and scales behind it. Knows nothing of training."""
