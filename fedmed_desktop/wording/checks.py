# SPDX-License-Identifier: Apache-2.0
"""Sentences about a site's connection and computer, as a check before joining finds them."""

from typing import Final

SENTENCES: Final = {
    "check.address": "The coordinator is at {address}; the connection is encrypted.",
    "check.address_here": "The coordinator is at {address}, on this computer.",
    "check.busy": "The coordinator at {address} has too many connections right now. Try again in a minute.",
    "check.clock": "This computer and the coordinator agree about the time.",
    "check.clock_ahead": "This computer's clock is {minutes} min ahead of the coordinator's. One of the two is "
    "wrong: set both computers to take the time from a time server.",
    "check.clock_behind": "This computer's clock is {minutes} min behind the coordinator's. One of the two is wrong: "
    "set both computers to take the time from a time server.",
    "check.cut_off": "The connection to {address} was cut off at once. Either the program there does not encrypt "
    "connections: check the address with the host. Or a firewall closes connections that it cannot inspect: ask "
    "the people who run this network not to inspect connections to this address.",
    "check.disk": "{free} is free for the folder {path}.",
    "check.disk_full": "Only {free} is free for the folder {path}, and about {needed} is needed. Free some space, or "
    "choose a folder on another disk.",
    "check.disk_little": "{free} is free for the folder {path}; about {needed} may be needed. Free some space before "
    "the federation begins.",
    "check.encrypted": "The connection is encrypted with {version}.",
    "check.gpu": "{gpu} has {total} of memory, {free} of it free; training this model takes about {needed}.",
    "check.gpu_found": "The program can train on {gpu}, which has {total} of memory.",
    "check.gpu_small": "Training this model takes about {needed} with a whole batch at once, and {gpu} has {total}. "
    "With less at once it needs {least} or more, and takes longer. Load the model in 4 bits (--nf4) to be quicker.",
    "check.gpu_taken": "Training this model takes about {needed}, but only {free} of {gpu}'s {total} is free. Close "
    "whatever else is using it before the federation begins.",
    "check.gpu_too_small": "This model does not fit into {gpu}: it needs at least {least}, and the GPU has {total}. "
    "Load it in 4 bits (--nf4), use a computer with a larger GPU, or ask the host for a smaller model.",
    "check.identity": "It is the coordinator of the invitation (fingerprint {fingerprint}).",
    "check.identity_here": "The coordinator on this computer has the fingerprint {fingerprint}.",
    "check.identity_unknown": "The coordinator has the fingerprint {fingerprint}. Only an invitation can tell "
    "whether it is the right coordinator: ask the host for one.",
    "check.line": "A connection to {address} takes {milliseconds} ms.",
    "check.memory": "This computer has {total} of memory, {free} of it free; training this model takes about {needed}.",
    "check.largest_billions": "Models of up to about {number} billion weights. That is a guess from the memory; "
    "once you have chosen a model, the check on Join counts.",
    "check.largest_millions": "Models of up to about {number} million weights. That is a guess from the memory; "
    "once you have chosen a model, the check on Join counts.",
    "check.largest_none": "There is hardly enough memory for the program alone. The demonstration may work; to "
    "train, use a computer with more memory.",
    "check.memory_there": "{total}, of which {free} is free.",
    "check.memory_small": "Training this model takes about {needed}, and at the very least {least}; this computer "
    "has {total} of memory, so it may not fit. Load the model in 4 bits (--nf4), or use a computer with more "
    "memory.",
    "check.memory_taken": "Training this model takes about {needed}, but only {free} of this computer's {total} is "
    "free. Close other programs before the federation begins.",
    "check.memory_too_small": "This model does not fit into this computer's memory: it needs at least {least}, and "
    "the computer has {total}. Use a computer with more memory, or ask the host for a smaller model.",
    "check.name": "The name {host} is known: {found}.",
    "check.no_gpu": "No GPU was found that the program can use. Training runs on the processor, which takes many "
    "times longer. Small models and the demonstration work well.",
    "check.no_key": "This site has no secret key yet. It is made when the site first joins.",
    "check.no_line": "No connection to {address} can be made. A firewall in between may be blocking it: ask the "
    "people who run this network to allow outgoing TCP connections to {host}, port {port}; or enter the proxy that "
    "they use.",
    "check.no_name": "The name {host} is not known here. Check its spelling and this computer's network. If the name "
    "is known only inside a hospital or a VPN, connect to that first, or ask the host for the numeric address.",
    "check.no_proxy": "No proxy is used.",
    "check.nobody_listens": "The computer at {host} answers, but no program listens on port {port}. Ask the host "
    "whether the coordinator is running, and whether the port is right.",
    "check.other_name": "The coordinator at {address} does not answer to the name {host}. Ask the host to start it "
    "with --public-address {address}.",
    "check.other_program": "Another program answers at {address}, not a coordinator. Check the address and the port "
    "with the host.",
    "check.proxy_given": "The connection goes through the proxy {proxy}, as chosen.",
    "check.proxy_system": "The connection goes through the proxy {proxy}, as this computer's settings say.",
    "check.says_nothing": "The computer at {address} accepts the connection but sends nothing. A firewall may be "
    "holding back WebSocket connections: ask the people who run this network to let them through.",
    "check.sizes_guessed": "That is a guess: the federation's own settings are not known before this site has "
    "joined. These are usual ones: batch size {batch}, up to {tokens} tokens per example, rank {rank}.",
    "check.sizes_known": "That is for the federation's own settings: batch size {batch}, up to {tokens} tokens per "
    "example, rank {rank}.",
    "check.speed": "The coordinator sends {speed} Mbit/s or more to this computer.",
    "check.speed_quick": "The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} "
    "(rank {rank}), download and upload take less than a minute per round.",
    "check.speed_round": "The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} "
    "(rank {rank}), download and upload take about this many minutes per round: {minutes}.",
    "check.speed_slow": "The coordinator sends only {speed} Mbit/s to this computer. With an adapter of {size} (rank "
    "{rank}), download and upload take about this many minutes per round: {minutes}. Tell the host, who can choose "
    "longer deadlines or a smaller rank; or use a faster connection.",
    "check.speed_unknown": "The speed of the connection could not be measured. The first round will show it.",
    "check.version": "Both sides speak version {version} of the protocol.",
}
