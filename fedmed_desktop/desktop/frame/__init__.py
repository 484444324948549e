# SPDX-License-Identifier: Apache-2.0
"""The window around the rooms: header, navigation, strip, menu, dialogs of the whole program, settings and folder."""
