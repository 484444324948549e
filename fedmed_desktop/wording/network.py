# SPDX-License-Identifier: Apache-2.0
"""Sentences about coordinators, joining one, the connection and the messages on it."""

from typing import Final

SENTENCES: Final = {
    "bundle.both": "Give --bundle-in and --bundle-out together: the file that came from the host, and another file, "
    "which goes back.",
    "bundle.connected": "{site} is connected right now, so its file is not used. Let it send its update over the "
    "connection.",
    "bundle.damaged": "{path} cannot be used: {reason}. Copy it again from where it was made.",
    "bundle.for_coordinator": "This file is a site's answer. Give it to the coordinator, with --import-update.",
    "bundle.for_site": "This file was made for a site, by --export-round. Give the coordinator the file that the "
    "site wrote with --bundle-out.",
    "bundle.missing": "There is no file {path}. Check the path, and that the medium is plugged in.",
    "bundle.not_understood": "This file is not a readable round ({place}). Copy it again, or have it made again with "
    "the same version of fedmed-desktop.",
    "bundle.other_file": "{path} is there already and is not an earlier carried round. Move it away, or choose another "
    "name.",
    "bundle.other_key": "This file was not signed by the sender that it names. Nothing was taken from it. Tell the "
    "host: someone may have changed it on the way.",
    "bundle.other_site": "This file is for {found}, and this site is {site}. Use the file that the host made for "
    "{site}.",
    "bundle.signature": "This file was changed after it was signed. Nothing was taken from it. Copy it again; if "
    "that does not help, tell the host: someone may have changed it on the way.",
    "bundle.version": "This file was made with another version of fedmed-desktop (protocol {found}, here {known}). Use "
    "the same version on both sides.",
    "coordinator.lost_adapter": "The adapter {sha256}, which round {round} starts from, is missing or damaged. Copy "
    "the file of that name to {path} from a backup, or from the blobs folder of a site.",
    "coordinator.lost_update": "A stored update of {sites} in round {round} is missing or damaged. The site is asked "
    "to send it again when it is connected.",
    "coordinator.no_initial": "The first adapter {sha256} of this federation is not in {path}. Copy there the "
    ".safetensors file that --new-federation wrote beside the specification.",
    "coordinator.no_scorer": "{method} needs the coordinator to measure each update, so the coordinator needs a base "
    "model and notes. Start it with --score-with MODEL NOTES, or choose another method.",
    "coordinator.no_status": "No coordinator answers on {address}. Start one, or give its --host and --port.",
    "coordinator.not_loopback": "Connections to {address} would not be encrypted. Only addresses of this computer, "
    "such as 127.0.0.1, are served without a certificate.",
    "coordinator.other_base": "The model given with --score-with is not the federation's base model (fingerprint "
    "{found}, expected {expected}). Give the model folder that the federation was made with.",
    "coordinator.address": "Nothing can listen on port {port} of {address} here: {reason}. Give an address of this "
    "computer (0.0.0.0 for all of them), and a port from 1024 on.",
    "coordinator.port": "Port {port} on {address} is already used by another program. Choose another with {option}.",
    "coordinator.scorer_unused": "{method} does not need the coordinator to measure updates. Leave out --score-with, "
    'or set measured_by = "coordinator" if the method has it.',
    "coordinator.update_gone": "The update that the round waits for is no longer at the site either. Copy the file "
    "{sha256} to {path} from a backup.",
    "coordinator.whole_other_rank": "Sites download the adapter of round {round} in full (float32), because its "
    "ranks differ from those of the adapter before it. There is nothing to do.",
    "coordinator.whole_too_much_lost": "Sites download the adapter of round {round} in full (float32): in fewer bits "
    "it would have lost {percent} % of what the round changed, and the limit is {most} %. If that happens every "
    "round, choose a larger transfer.dtype, or take out transfer.down.",
    "download.not_rebuilt": "The adapter {sha256} of round {round} could not be rebuilt from its difference, so it "
    "is downloaded in full. Nothing is lost. If that happens every round, tell the host.",
    "identity.signature": "A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing "
    "was taken from it. If this happens again, tell the host: someone may be changing what is sent.",
    "invitation.damaged": "This invitation is not valid: it contains something that does not belong in an "
    "invitation. Ask the host for a new one.",
    "invitation.mistyped": "This invitation is mistyped or incomplete: its checksum is wrong. Nothing was sent. Copy "
    "it again: the whole line, from fedmed: to the end.",
    "invitation.newer": "This invitation was made by a newer version of fedmed-desktop (format {found}; this one reads "
    "{known}). Install the version that the host has.",
    "invitation.no_file": "There is no file {path}. Check the path. An invitation's line begins with fedmed:.",
    "invitation.no_picture": "{name} cannot be read as a picture. Take another one, or paste the line instead.",
    "invitation.no_qr": "No QR code can be made out in this picture. Take one that shows the whole code, sharp and "
    "straight from the front; or paste the line instead.",
    "invitation.none": "No invitation was found here. An invitation is one line that begins with fedmed: and comes "
    "from the host.",
    "invitation.other_qr": "The QR code in this picture is not an invitation's. Use the one that the host gave you.",
    "invitation.too_long": "This is far longer than an invitation. Paste the line that begins with fedmed: and "
    "nothing else.",
    "join.name_taken": "Another site has already joined with the name {site}. Choose another --name, or use the data "
    "folder that this site joined with.",
    "join.not_proved": "The site {site} could not prove that it owns its key. Nothing was taken from it.",
    "join.other_base": "This site's base model is not the federation's base model (fingerprint {found}, expected "
    "{expected}). Choose the model folder that the federation was made with.",
    "join.other_coordinator": "This invitation is from another coordinator (fingerprint {found}) than the one that "
    "this site joined (fingerprint {expected}). Use the data folder that belongs to it, or ask the host which is "
    "right.",
    "join.other_federation": "This data folder belongs to the federation {known}, but the coordinator runs {found}. "
    "Choose another --data-dir.",
    "join.other_key": "The site {site} has a new key now, so its old key no longer counts. If this site did not join "
    "again elsewhere, tell the host.",
    "join.rank_cap": "This federation's method needs rank {rank} at each site, but this site's limit is {cap}. Leave "
    "out --rank-cap, or ask the host for a method that allows different ranks, such as flexlora.",
    "join.replaced": "Another connection with the name {site} replaced this one. Run each site only once.",
    "join.version": "The site uses protocol version {site}, the coordinator {coordinator}. Use the same version of "
    "fedmed-desktop on both sides.",
    "link.address": "{address} is not a coordinator's address. Give one such as wss://federation.example.org:8765, or "
    "ws://127.0.0.1:8765 on this computer.",
    "link.closed": "The coordinator at {address} closed the connection.",
    "link.crowded": "The coordinator at {address} has too many connections at the moment. This site keeps trying.",
    "link.intercepted": "Something stands between this site and the coordinator: the encryption key on the line is "
    "{found}, the coordinator's own is {expected}. Nothing was sent. If your network inspects encrypted traffic, "
    "ask its administrators to exempt this address.",
    "link.no_coordinator_there": "What answers at {address} is not a coordinator (HTTP {status}). Check the address "
    "with the host; this site keeps trying.",
    "link.no_invitation": "This site has never joined the coordinator at {address}. Ask its host for an invitation.",
    "link.not_loopback": "{address} is on another computer, and a ws:// connection is not encrypted. Ask the host for "
    "an invitation, which has an encrypted address.",
    "link.not_proved": "The coordinator could not prove that it owns its key (fingerprint {found}). Nothing was sent. "
    "Tell the host.",
    "link.other_name": "The coordinator does not answer to the name in {address}. Ask its host to start it with "
    "--public-address {host}; this site keeps trying.",
    "link.other_coordinator": "This is not the coordinator that the invitation is from: its fingerprint is {found}, "
    "and {expected} is expected. Nothing was sent. Ask the host by phone before you try again.",
    "link.not_plain": "What answers at {address} is not a coordinator, or one that encrypts, as each does that serves "
    "a network. Check the port, or ask the host for an invitation; this site keeps trying.",
    "link.unreachable": "The coordinator at {address} does not answer. Check that it is running; this site keeps "
    "trying.",
    "protocol.bad_chunk": "A piece of an adapter cannot be accepted: {reason}. The transfer starts again.",
    "protocol.not_understood": "The other side sent something that this version does not understand ({place}: "
    "{reason}). Use the same version of fedmed-desktop on both sides.",
    "protocol.signature": "A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing "
    "was taken from that message. If this happens again, tell the host: someone may be changing what is sent.",
    "proxy.address": "This is not a proxy's address. Give one such as http://proxy.example.org:3128 (with a name and a "
    'password: http://name:password@proxy.example.org:3128), or "system" or "none".',
    "proxy.cannot_reach": "The proxy {proxy} answers, but it cannot reach the coordinator at {address} (HTTP "
    "{status}). Check the address, and ask the people who run the proxy whether it may connect there.",
    "proxy.no_basic": "The proxy {proxy} wants a sign-in of a kind that fedmed-desktop does not know ({ways}). Ask the "
    "people who run it to let this computer connect to {address} without one, or with a name and a password (Basic).",
    "proxy.no_proxy_there": "What answers at {proxy} is not an HTTP proxy. Check the proxy's address.",
    "proxy.refuses": "The proxy {proxy} refuses connections to {address} (HTTP {status}). Ask the people who run it to "
    "allow HTTP CONNECT to this address and port.",
    "proxy.socks": 'SOCKS proxies cannot be used. Give an HTTP proxy with --proxy or in Settings, or choose "none".',
    "proxy.unreachable": "The proxy {proxy} does not answer. Check its address, and that this computer is in the "
    "network that it belongs to; or choose another proxy, or none.",
    "proxy.wants_password": "The proxy {proxy} wants a name and a password. Give them in the proxy's address, as "
    "http://name:password@…, with --proxy, in HTTPS_PROXY or in Settings.",
    "proxy.wrong_password": "The proxy {proxy} does not accept the name and the password that it was given. Correct "
    "them before you try again: repeated tries may lock the account.",
    "site.invited_name": "The invitation is for the site {invited}, not for {name}. Leave out --name.",
    "site.name": "{name} cannot be a site's name. Use up to 60 letters, digits, spaces and . , ' - & ( ), and begin "
    "with a letter or digit.",
    "site.no_coordinator": "The site in {path} has joined no federation yet. Give the host's invitation with "
    "--invitation, or --join and --name for a coordinator on this computer.",
    "site.rule_reason": "A rule needs a reason: say in a few words why every update may be sent.",
    "site.two_coordinators": "Give either an invitation or the address of a coordinator on this computer, not both.",
}
