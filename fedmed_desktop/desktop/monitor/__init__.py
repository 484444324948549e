# SPDX-License-Identifier: Apache-2.0
"""Monitor: how training goes on this computer, live, as charts or as a table."""
