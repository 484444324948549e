# SPDX-License-Identifier: Apache-2.0
"""The desktop: what a site's staff see and click. The only package with Qt; work reaches it as values over a buffer."""
