# SPDX-License-Identifier: Apache-2.0
"""The pages of the window. A page shows the desk's state when told to and says what the person wants by signals."""
