# SPDX-License-Identifier: Apache-2.0
"""A coordinator and sites put together in one process, on the bundled model and notes."""
