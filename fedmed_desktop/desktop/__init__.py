# SPDX-License-Identifier: Apache-2.0
"""The desktop, which a site's staff see and click. The only package with Qt; what happens reaches it as values.

From the bottom up: `look`, `widgets`, `charts`, `work` (threads, and all that is known), a room for each page, the
`frame` around them, and the program here. In a room, a module without Qt is a view: values and pure functions that read
no file; files are read in its `files.py`. Of the work, faces know events and the read models of `storage`.
"""
