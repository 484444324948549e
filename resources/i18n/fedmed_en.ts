<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en_US" sourcelanguage="en">
<context>
    <name></name>
    <message numerus="yes">
        <source>%n are not asked</source>
        <translation>
            <numerusform>%n is not asked</numerusform>
            <numerusform>%n are not asked</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are offline</source>
        <translation>
            <numerusform>%n is offline</numerusform>
            <numerusform>%n are offline</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are sending</source>
        <translation>
            <numerusform>%n is sending</numerusform>
            <numerusform>%n are sending</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are training</source>
        <translation>
            <numerusform>%n is training</numerusform>
            <numerusform>%n are training</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n byte(s)</source>
        <translation>
            <numerusform>%n byte</numerusform>
            <numerusform>%n bytes</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n code(s) would be chosen, in bold.</source>
        <translation>
            <numerusform>%n code would be chosen, in bold.</numerusform>
            <numerusform>%n codes would be chosen, in bold.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n core(s)</source>
        <translation>
            <numerusform>%n core</numerusform>
            <numerusform>%n cores</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found before you stopped it.</source>
        <translation>
            <numerusform>%n entity found before you stopped it.</numerusform>
            <numerusform>%n entities found before you stopped it.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found so far.</source>
        <translation>
            <numerusform>%n entity found so far.</numerusform>
            <numerusform>%n entities found so far.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found.</source>
        <translation>
            <numerusform>%n entity found.</numerusform>
            <numerusform>%n entities found.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities: {list}</source>
        <translation>
            <numerusform>%n entity: {list}</numerusform>
            <numerusform>%n entities: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s)</source>
        <translation>
            <numerusform>%n entry</numerusform>
            <numerusform>%n entries</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s) since then.</source>
        <translation>
            <numerusform>%n entry since then.</numerusform>
            <numerusform>%n entries since then.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s); the last one&apos;s hash is {head}.</source>
        <translation>
            <numerusform>%n entry; the last one&apos;s hash is {head}.</numerusform>
            <numerusform>%n entries; the last one&apos;s hash is {head}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n example note(s)</source>
        <translation>
            <numerusform>one example note</numerusform>
            <numerusform>%n example notes</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have paused</source>
        <translation>
            <numerusform>%n has paused</numerusform>
            <numerusform>%n have paused</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have sent</source>
        <translation>
            <numerusform>%n has sent</numerusform>
            <numerusform>%n have sent</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n keep their adapters</source>
        <translation>
            <numerusform>%n keeps its adapter</numerusform>
            <numerusform>%n keep their adapters</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n kind(s)</source>
        <translation>
            <numerusform>%n kind</numerusform>
            <numerusform>%n kinds</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n matrices</source>
        <translation>
            <numerusform>%n matrix</numerusform>
            <numerusform>%n matrices</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n method(s)</source>
        <translation>
            <numerusform>%n method</numerusform>
            <numerusform>%n methods</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s) linked.</source>
        <translation>
            <numerusform>%n modifier linked.</numerusform>
            <numerusform>%n modifiers linked.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s): {list}</source>
        <translation>
            <numerusform>%n modifier: {list}</numerusform>
            <numerusform>%n modifiers: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n module(s)</source>
        <translation>
            <numerusform>1 module</numerusform>
            <numerusform>%n modules</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s)</source>
        <translation>
            <numerusform>%n note</numerusform>
            <numerusform>%n notes</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read in parts that overlap, {windows} in all; nothing is left out.</source>
        <translation>
            <numerusform>%n note is read in parts that overlap, {windows} in all; nothing is left out.</numerusform>
            <numerusform>%n notes are read in parts that overlap, {windows} in all; nothing is left out.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read whole.</source>
        <translation>
            <numerusform>%n note is read whole.</numerusform>
            <numerusform>%n notes are read whole.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) stay too long for {most} tokens in some part.</source>
        <translation>
            <numerusform>%n note stays too long for {most} tokens in some part.</numerusform>
            <numerusform>%n notes stay too long for {most} tokens in some part.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) that all sites may read.</source>
        <translation>
            <numerusform>%n note that all sites may read.</numerusform>
            <numerusform>%n notes that all sites may read.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) to train on, {validation:,} to score rounds with, {test}.</source>
        <translation>
            <numerusform>%n note to train on, {validation:,} to score rounds with, {test}.</numerusform>
            <numerusform>%n notes to train on, {validation:,} to score rounds with, {test}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s), {format}.</source>
        <translation>
            <numerusform>%n note, {format}.</numerusform>
            <numerusform>%n notes, {format}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s).</source>
        <translation>
            <numerusform>%n note.</numerusform>
            <numerusform>%n notes.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your counts are below {few}: a rare kind of note can point to single patients.</source>
        <translation>
            <numerusform>One of your counts is below {few}: a rare kind of note can point to single patients.</numerusform>
            <numerusform>%n of your counts are below {few}: a rare kind of note can point to single patients.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, kept aside</source>
        <translation>
            <numerusform>%n of your notes, kept aside</numerusform>
            <numerusform>%n of your notes, kept aside</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, never used for training</source>
        <translation>
            <numerusform>%n of your notes, never used for training</numerusform>
            <numerusform>%n of your notes, never used for training</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of {all} entries match(es).</source>
        <translation>
            <numerusform>%n of {all} entries matches.</numerusform>
            <numerusform>%n of {all} entries match.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n other(s)</source>
        <translation>
            <numerusform>%n other</numerusform>
            <numerusform>%n others</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n page(s) found</source>
        <translation>
            <numerusform>%n page found</numerusform>
            <numerusform>%n pages found</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n row(s) cannot be used.</source>
        <translation>
            <numerusform>%n row cannot be used.</numerusform>
            <numerusform>%n rows cannot be used.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n seed(s)</source>
        <translation>
            <numerusform>%n seed</numerusform>
            <numerusform>%n seeds</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n sent nothing</source>
        <translation>
            <numerusform>%n sent nothing</numerusform>
            <numerusform>%n sent nothing</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected</source>
        <translation>
            <numerusform>%n site connected</numerusform>
            <numerusform>%n sites connected</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected.</source>
        <translation>
            <numerusform>%n site connected.</numerusform>
            <numerusform>%n sites connected.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) have made no progress for {time}.</source>
        <translation>
            <numerusform>%n site has made no progress for {time}.</numerusform>
            <numerusform>%n sites have made no progress for {time}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) take part</source>
        <translation>
            <numerusform>%n site takes part</numerusform>
            <numerusform>%n sites take part</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) that have not sent are not waited for; their work in this round is not used.</source>
        <translation>
            <numerusform>%n site that has not sent is not waited for; its work in this round is not used.</numerusform>
            <numerusform>%n sites that have not sent are not waited for; their work in this round is not used.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) wait until you have compared six words and confirmed them.</source>
        <translation>
            <numerusform>%n site waits until you have compared six words and confirmed it.</numerusform>
            <numerusform>%n sites wait until you have compared six words and confirmed them.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n specialties</source>
        <translation>
            <numerusform>%n specialty</numerusform>
            <numerusform>%n specialties</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thing(s) must be put right.</source>
        <translation>
            <numerusform>One thing must be put right.</numerusform>
            <numerusform>%n things must be put right.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thread(s)</source>
        <translation>
            <numerusform>%n thread</numerusform>
            <numerusform>%n threads</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation>
            <numerusform>%n token</numerusform>
            <numerusform>%n tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n type(s)</source>
        <translation>
            <numerusform>%n type</numerusform>
            <numerusform>%n types</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n type(s) mapped.</source>
        <translation>
            <numerusform>%n type mapped.</numerusform>
            <numerusform>%n types mapped.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait</source>
        <translation>
            <numerusform>%n waits</numerusform>
            <numerusform>%n wait</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait for approval</source>
        <translation>
            <numerusform>%n waits for approval</numerusform>
            <numerusform>%n wait for approval</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>A model of {amount} with %n layer(s) to adapt.</source>
        <translation>
            <numerusform>A model of {amount} with %n layer to adapt.</numerusform>
            <numerusform>A model of {amount} with %n layers to adapt.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>All %n round(s) are done</source>
        <translation>
            <numerusform>The round is done</numerusform>
            <numerusform>All %n rounds are done</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>And %n more row(s).</source>
        <translation>
            <numerusform>And %n more row.</numerusform>
            <numerusform>And %n more rows.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Combined model on notes of %n site(s) that sent, since round {round}</source>
        <translation>
            <numerusform>Combined model on notes of one site that sent, since round {round}</numerusform>
            <numerusform>Combined model on notes of the %n sites that sent, since round {round}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Final in %n second(s)</source>
        <translation>
            <numerusform>Final in %n second</numerusform>
            <numerusform>Final in %n seconds</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Half of the change is in %n of {all} layers, most of it in layer {most}.</source>
        <translation>
            <numerusform>Half of the change is in %n of {all} layers, layer {most}.</numerusform>
            <numerusform>Half of the change is in %n of {all} layers, most of it in layer {most}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Leaves in %n second(s)</source>
        <translation>
            <numerusform>Leaves in %n second</numerusform>
            <numerusform>Leaves in %n seconds</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s).</source>
        <translation>
            <numerusform>Measured on %n validation note.</numerusform>
            <numerusform>Measured on %n validation notes.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s): so small a difference may be chance.</source>
        <translation>
            <numerusform>Measured on %n validation note: so small a difference may be chance.</numerusform>
            <numerusform>Measured on %n validation notes: so small a difference may be chance.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Nothing is wrong, but %n thing(s) should be looked at.</source>
        <translation>
            <numerusform>Nothing is wrong, but one thing should be looked at.</numerusform>
            <numerusform>Nothing is wrong, but %n things should be looked at.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>On %n note(s); in brackets the 95 % interval of each score.</source>
        <translation>
            <numerusform>On one note.</numerusform>
            <numerusform>On %n notes; in brackets the 95 % interval of each score.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n example note(s) of {site} is waiting.</source>
        <translation>
            <numerusform>The adapter trained on %n example note of {site} is waiting.</numerusform>
            <numerusform>The adapter trained on %n example notes of {site} is waiting.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n of your notes is waiting.</source>
        <translation>
            <numerusform>The adapter trained on %n of your notes is waiting.</numerusform>
            <numerusform>The adapter trained on %n of your notes is waiting.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The change is spread over all %n layers.</source>
        <translation>
            <numerusform>The change is in its one layer.</numerusform>
            <numerusform>The change is spread over all %n layers.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The record is whole: %n entry(s), none changed, lost or inserted.</source>
        <translation>
            <numerusform>The record is whole: %n entry, not changed.</numerusform>
            <numerusform>The record is whole: %n entries, none changed, lost or inserted.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n example note(s) of {site} are waiting.</source>
        <translation>
            <numerusform>The scores of the final adapter on %n example note of {site} are waiting.</numerusform>
            <numerusform>The scores of the final adapter on %n example notes of {site} are waiting.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n of your notes are waiting.</source>
        <translation>
            <numerusform>The scores of the final adapter on %n of your notes are waiting.</numerusform>
            <numerusform>The scores of the final adapter on %n of your notes are waiting.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The two records match: all %n hash(es) that one side holds of the other were found.</source>
        <translation>
            <numerusform>The two records match: the one hash that one side holds of the other was found.</numerusform>
            <numerusform>The two records match: all %n hashes that one side holds of the other were found.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{count} of %n site(s) connected.</source>
        <translation>
            <numerusform>{count} of %n site connected.</numerusform>
            <numerusform>{count} of %n sites connected.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{federation}, %n round(s), {day}</source>
        <translation>
            <numerusform>{federation}, %n round, {day}</numerusform>
            <numerusform>{federation}, %n rounds, {day}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>{words}, no progress for %n min</source>
        <translation>
            <numerusform>{words}, no progress for %n min</numerusform>
            <numerusform>{words}, no progress for %n min</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>SearchRow</name>
    <message numerus="yes">
        <source>%n on this page</source>
        <translation>
            <numerusform>%n on this page</numerusform>
            <numerusform>%n on this page</numerusform>
        </translation>
    </message>
</context>
</TS>
