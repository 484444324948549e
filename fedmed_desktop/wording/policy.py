# SPDX-License-Identifier: Apache-2.0
"""Sentences about a site's own policy: what it does not allow, what it waits for, and what can be done."""

from typing import Final

SENTENCES: Final = {
    "policy.allows": "Your hospital's policy ({rule}) asks for no more than this program does.",
    "policy.asks": "Your hospital's policy ({rule}) requires a person: a rule that approves by itself does not count "
    "here. Decide in the desktop, or start the site without --approve-rule.",
    "policy.bytes": "Your hospital's policy ({rule}) lets at most {most} bytes leave, and this update has {found}. "
    "It stays here. A smaller rank makes it smaller; or ask whoever keeps the policy.",
    "policy.denies": "Your hospital's policy ({rule}) does not let this leave. It stays here. Whoever keeps the policy "
    "can change that rule.",
    "policy.epsilon": "Your hospital's policy ({rule}) allows at most epsilon {most}, and with this update {found} "
    "would be spent. It stays here. Whoever keeps the policy can change that.",
    "policy.few_notes": "Your hospital's policy ({rule}) asks for at least {least} training notes, and this was "
    "trained on {found}. It stays here. Add notes, or ask whoever keeps the policy.",
    "policy.named_people": "Your hospital's policy ({rule}) lets only these people approve: {names}.",
    "policy.never_open": "Your hospital's policy ({rule}) leaves no hour of the week in which anything may leave: its "
    "files do not agree. Ask whoever keeps the policy.",
    "policy.not_approver": "{name} may not approve here: your hospital's policy (approvers) names {names}. Nothing has "
    "left. Ask one of them.",
    "policy.not_private": "Your hospital's policy ({rule}) asks for differential privacy with epsilon at most "
    "{most}, and this federation trains without it. Nothing is trained or leaves. Ask its host for "
    "[training.privacy], or whoever keeps the policy to change it.",
    "policy.not_probed": "Your hospital's policy ({rule}) requires a person here, because what this adapter may "
    "reveal could not be measured. Look at it in the desktop, or start the site without --approve-rule.",
    "policy.not_safe": "Nothing leaves this site: {path} is this computer's policy, and accounts other than the "
    "administrator's can change it. Make the administrator its owner, and let nobody else write to it or its "
    "folder.",
    "policy.rank": "Your hospital's policy ({rule}) allows at most rank {most}, and this has rank {found}. Nothing "
    "is trained or leaves. Start the site with --rank-cap {most}, so that it is never asked for more.",
    "policy.reveals": "Your hospital's policy ({rule}) lets nothing leave that is rated worse than {most}, and what "
    "this adapter may reveal is rated {found}. It stays here. More notes, fewer steps or a smaller learning rate "
    "reveal less.",
    "policy.same_person": "{name} has approved this already: your hospital's policy (four_eyes) asks for a second "
    "person. Nothing has left.",
    "policy.scalar": "Your hospital's policy ({rule}) does not let {scalar} leave, which this update still tells: it "
    "was made before the policy said so. It stays here. Whoever keeps the policy can change that.",
    "policy.scalar_needed": "{name} cannot be joined: its method {method} needs {scalar} of each update, and your "
    "hospital's policy (scalars) does not let that leave. Ask whoever keeps the policy, or the host for another "
    "method.",
    "policy.two_people": "Your hospital's policy ({rule}) asks for two people: a second one must approve as well.",
    "policy.unreadable": "Nothing leaves this site: the policy in {path} cannot be read: {reason}. Correct that file.",
    "policy.wrong_key": "Nothing leaves this site until the policy in {path} is right: {key}: {reason}.",
}
