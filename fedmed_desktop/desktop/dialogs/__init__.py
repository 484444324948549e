# SPDX-License-Identifier: Apache-2.0
"""Windows that ask or tell one thing. They are opened, never executed: the event loop is one."""
