# SPDX-License-Identifier: Apache-2.0
"""Try it: a note read by the base model and by an adapter, side by side, on this computer."""
