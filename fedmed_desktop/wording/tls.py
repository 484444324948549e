# SPDX-License-Identifier: Apache-2.0
"""Sentences about certificates, encrypted connections, and the coordinator's limits."""

from typing import Final

SENTENCES: Final = {
    "certificate.expired": "The certificate in {path} expired on {date}. Get a new one from whoever issued it and "
    "start the coordinator again. Or give it none: it then makes its own.",
    "certificate.key_locked": "The key in {path} is locked with a password, and a coordinator that starts by itself "
    "cannot ask for one. Save the key without a password in a file that only this user can read.",
    "certificate.missing": "There is no file {path}. Give the files of the certificate and of its key, or neither: the "
    "coordinator then makes its own.",
    "certificate.no_key": "{path} is not a private key that can be used. Give the key's file in PEM form (it "
    "begins with -----BEGIN PRIVATE KEY-----).",
    "certificate.no_pem": "{path} is not a certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----). "
    "Give a file of that form, with the coordinator's own certificate first.",
    "certificate.not_yet": "The certificate in {path} is not valid before {date} UTC. Check this computer's clock.",
    "certificate.order": "The key in {key} fits a certificate in {path}, but not the first one. Put the coordinator's "
    "own certificate first in the file, and those of the authorities after it.",
    "certificate.other_key": "The key in {key} does not belong to the certificate in {path}. Give the key that the "
    "certificate was requested with.",
    "certificate.unreadable": "The certificate in {path} cannot be used with its key: {reason}. Check both files.",
    "limit.guesses": "Too many wrong codes came from this address. Wait a minute, and copy the invitation whole.",
    "limit.messages": "Too many messages came at once, so the connection was closed. It is opened again by itself.",
    "limit.transfer": "The transfer made no progress, so another site took its place. It continues later from where "
    "it stopped.",
    "link.certificate_expired": "The certificate of the coordinator at {address} has expired; this computer's clock "
    "says {clock} UTC. If the clock is right, ask the host to renew the certificate.",
    "link.certificate_host": "The certificate of the coordinator at {address} is for another host name, so nothing "
    "was sent. Check the address with the host; if it is right, the host needs a certificate for it.",
    "link.certificate_not_yet": "The certificate of the coordinator at {address} is not valid yet; this computer's "
    "clock says {clock} UTC. Set the clock right.",
    "link.certificate_untrusted": "This computer does not trust the certificate of the coordinator at {address} "
    "({reason}), so nothing was sent. If your hospital has its own certificate authority, ask IT to install its root "
    "certificate here; otherwise ask the host.",
    "link.not_tls": "What answers at {address} does not encrypt, so it is not the coordinator, or something in "
    "between changes the connection. Check the address and the port with the host.",
    "link.tls_failed": "No encrypted connection to the coordinator at {address} could be made: {reason}. This site "
    "keeps trying.",
    "link.tls_version": "The coordinator at {address}, or something in between, offers only outdated encryption. Ask "
    "IT whether a proxy or firewall opens encrypted connections.",
    "update.disk_quota": "The coordinator already stores {held} bytes from this site in this round, and accepts at "
    "most {limit}. The site takes part again in the next round; if this happens again, tell the host.",
}
