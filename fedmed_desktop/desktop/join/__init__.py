# SPDX-License-Identifier: Apache-2.0
"""Join: the form in place of Rounds while there is no federation, and a preview of what would be shared."""
