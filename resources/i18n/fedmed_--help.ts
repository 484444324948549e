<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="--help">
<context>
    <name></name>
    <message numerus="yes">
        <source>%n are not asked</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are offline</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are sending</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are training</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n byte(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n code(s) would be chosen, in bold.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found before you stopped it.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found so far.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities: {list}</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have paused</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have sent</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n keep their adapters</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n kind(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n matrices</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n method(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s) linked.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s): {list}</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read in parts that overlap, {windows} in all; nothing is left out.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read whole.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) stay too long for {most} tokens in some part.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) to train on, {validation:,} to score rounds with, {test}.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s), {format}.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s).</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your counts are below {few}: a rare kind of note can point to single patients.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes: too few to tell</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n other(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n row(s) cannot be used.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n seed(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n sent nothing</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) have made no progress for {time}.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) take part</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n specialties</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thing(s) must be put right.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thread(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n type(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n type(s) mapped.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait for approval</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>*alone*: each site trains by itself, and is scored in the same way</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>*base*: the model before any training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>*centralised*: one training on the notes of all sites in one place, which no federation may do</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>*encoder*: token classification instead of generated text ({model}). Its loss is of tags and cannot be compared. Of FedAvg all trained weights travel, in 32 bits.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>, {share} of the full model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>95 % interval</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>A model of {amount} with %n layer(s) to adapt.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>A round closes once all sites have answered, or when it need not wait any longer for the rest.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A second person must approve: let them write their name above.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A summary in the model&apos;s words.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>About fedmed-desktop</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Adapter for round {round}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Adapter {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Address</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>After that it can no longer be taken back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Against</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>All %n round(s) are done</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>All rounds are done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All sites</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All tasks</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All types F1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All {all:,} marked entities count.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>An address on this computer, and something answers there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>An address on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>An answer was longer than allowed and was cut off: some may be missing.</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>And %n more row(s).</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Annotations that are not read ({what}): {count}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Approve</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Approved</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Approved, waiting for the coordinator</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>As agreed for the pilot</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Asked for again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Asking</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Base model</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>Before combining, %n site(s), round {round}</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Before the federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Candidates from the official ICD-10-CM table, the best first. The bar compares them with the best one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Change and try again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Change how to join</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Characters in a note, half up to / nine of ten up to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Checking…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Clock</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close the demonstration?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close while training?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Closing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Codes F1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Codes, of them different</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Combine</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Combined drift</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>Combined model, %n site(s), since round {round}</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Combining</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Connecting again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Connecting to the coordinator at {address}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Connection</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cosine to the group</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Counted</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Counts and a loss over all these notes together. No adapter leaves.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Counts of your notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Deadline</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Decided by</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Decision</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Details: {error}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Difference</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Disk</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Download</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Downloading</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Drift</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Drift is computed in this project&apos;s own way.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Drift: {values}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Duration</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Each method is compared with the best of the other federated ones.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Encryption</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>End it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>End the demonstration?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Ends</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Enter never sends. Press the space bar, or click.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Entities</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Entities F1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Entities by type</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Entities in training notes by type</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Evaluating…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Expires when the round closes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Expires {time}, {left} left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>F1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>F1 by type, round {n}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Factor {factors} of your adapter: no byte of it is in this update.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Failed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Federation, final</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Federation, {when}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fetching the adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Files that are not read: {files}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>Final in %n second(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Final now</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Final scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fingerprint of its key</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Finish</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Finished</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Finishing and saving the current step. Nothing is lost.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>First approval</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Form</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>From types.toml beside the notes:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Held. Nothing of this update has left.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hold decides nothing. Keep leaves it here for this round. Send can be taken back for ten seconds.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Host</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How far the adapter has moved is being measured.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How likely the model finds each answer beside the others; no measure of how sure it may be.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How this site&apos;s notes compare with the federation&apos;s is known after the next round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ICD-10 codes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ICD-10 codes F1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Identity</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>If the words differ, somebody is in between: stop, and tell the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>In the notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Inferred: {names}. The parts of these papers that could be read contain no formulas; these methods were designed from their descriptions, and no number here can be compared with theirs.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Intervals of few seeds are much too narrow: lower and higher are shown only where a paired t-test over seeds finds a difference as well. No difference shown does not prove that there is none.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It begins as soon as this computer has time for it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It can no longer be taken back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator does not answer; sending continues once it does.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator fetches exactly what you approved.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It does not count in this round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It goes on with other sites: not every site is asked in each round, and a site that joins late waits for the next one. Everything is fine; there is nothing to do here.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is saved in {folder}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is sent once the coordinator is back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It leaves in {left} s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It leaves now.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It starts from the beginning next time. What it has written so far is not kept.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It starts over.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It was used already; this site needs no new one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Its answer: {option}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Its disk is full, or a file is missing there. It continues by itself once that is solved; there is nothing to do here.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Its final adapter is on this computer. Try it on a note, beside the base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Join</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Join one with the invitation that its host gave you, or look at a demonstration first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Keep training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Keep watching</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kept on site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kept on this computer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Keys of rows that are not read: {keys}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Learning rate</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>Leaves in %n second(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Leaving now</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Left out, as its annotators decided ({what}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Left out, as marked by the annotators</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loading</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss is after the last round, on the validation notes of all sites; lower is better.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss on shared notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss, drift and rank are drawn here as soon as training starts on your notes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss, drift and rank are drawn here once this computer takes part in a federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>MAP</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>MB moved</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mean of tasks</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measure</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Measuring what has changed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Memory, MiB</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions in a note, half up to / nine of ten up to</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions in several parts: {count}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions inside another: {count}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions marked more than once, taken once: {count} ({what}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions of blanks only, left out: {count} ({what}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions that partly overlap another: {count}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions whose blanks at the edges were cut off: {count} ({what}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions whose offsets are wrong, and which were found by their words close by: {count} ({what}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions without any characters, left out: {count} ({what}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Mentions written in another form than in the text, with letters composed otherwise: {count} ({what}). The text&apos;s own characters are taken.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Method</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Missed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model drift</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Modifiers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Modifiers F1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Modifiers and relations by type</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Moment</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Most frequent codes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Next</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Next try in {time}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No code comes close to this note.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No code is certain enough.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No difference beyond chance between {adapter} and the base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No entities found before you stopped it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No entities found so far.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No entities found.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No modifiers found.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No modifiers: they are looked for around entities, and none was found.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No summary.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Norm</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not asked in this round</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not evaluated</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not joined</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not measured in this version. An adapter can reveal something about the notes that it was trained on.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not read, because the other side could not be read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not used: it is longer than {what}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not used: its id is the id of {what} too.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not used: the text is empty.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not used: {what}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Note text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes by number of characters</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes by number of tokens, the pieces of words that a model reads</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes of one patient stay together.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes that are nearly the same stay together.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing answers there now. You can join anyway; this site keeps trying.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing is lost.</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>Nothing is wrong, but %n thing(s) should be looked at.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>Nothing leaves it; you decide afterwards.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing leaves this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing of it has left this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing of this update has left.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing to show yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing was kept.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing was lost. You can continue where you stopped.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Now ({site}): {work}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Now: {work}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of the full model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Offline</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>On %n note(s); in brackets the 95 % interval of each score.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>One of the notes cannot be used.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>One of the notes does not have the format of a note.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Other sites</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Parts of one document stay together.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Patients</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Paused</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Performance drift</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Phone the host, at a number that you already have, and read them out. The host sees the same words.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Plain text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Preparing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Press again to keep it here. It is then not sent in this round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Qt {qt} and PySide6 {pyside}: GNU LGPL 3, as shared libraries that you may replace; their sources are at
{sources}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Questions</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Questions, right</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ROUGE on average</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ROUGE-1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ROUGE-2</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ROUGE-L</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rank</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rank {rank:.0f} at this site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rank, mean / last</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rank: not known yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Read after the other side.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Read as plain text, like the other files of its folder, though it looks like {what}. If it is, put it into a folder of its own.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reading</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reading part {part} of {parts}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reading the notes and the model…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reading your notes and loading the base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Ready for your decision</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reason</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Recall@10</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Recall@10, category</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Receipt</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Received</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Refused</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Refused by the coordinator</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Relations left out, since a mention at their end is not there: {count}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Relations listed more than once, taken once: {count}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Research demonstration, not for diagnosis or treatment</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Research software under the Apache License 2.0. Not a medical device; it makes no medical claims.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Review</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Review and decide</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Right answers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round closed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round closed without it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round {round}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round {round} of {rounds}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rounds</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Run the demonstration or choose an adapter.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Score</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Score on your notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores by task, round {n}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores improved</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores of the final adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scoring</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scoring after training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scoring before training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scoring the final adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Secret key</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>See it again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Semantic drift</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sending</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sending soon</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sending started</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sending the adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sent</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Settings</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Size</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Some of the notes do not have the format of a note.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Something is in the way</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Specialties</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Speed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop and close</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop taking part</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop taking part?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Summaries</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Summary ROUGE</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tags that do not fit the tag before them: {count} ({what}). A mention begins where an inside tag continues none, and ends where its end tag is missing.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Take back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Taken back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Taken back. Nothing of this update has left.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Task</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Test loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Test run</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That needs counts of specialties or types, which this federation does not share.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That needs marked entities; your training notes have none.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That needs training notes with a specialty; none of yours has one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter stays here. Waiting for the next round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter stays on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on example notes of {site}, so that you see what changes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on some of your notes, so that you can see what changes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter that this round starts from is on its way.</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n example note(s) of {site} is waiting.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n of your notes is waiting.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>The base model has not learned these types.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model was scored.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The charts show the first {count} methods only.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator combines the sites&apos; adapters into the next one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator does not answer yet; you can decide once it does.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator does not answer. You can decide once it does.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator fetches exactly what you approved.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator has exactly what you approved. Receipt: {hash}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator has it; the receipt is kept. Waiting for others.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator has to wait</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator is away</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator is away. You can decide now; it is sent when it is back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator is away: the update is sent when it is back, and can then no longer be taken back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator is not asking for this one now. You can decide once it does.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator refused the update</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator will know this site by this name.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The demonstration was stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The encoding is not marked and was taken to be {what}. Check a few accented letters.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The federation has finished</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The federation has stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on example test notes of {site}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on your test notes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The federation&apos;s share is the mean over the sites of round {round}, this one included, each by its number of notes. A little is added to every count, so that none is zero.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file is not read: no format fits it, or its folder was taken to be of another format.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The final adapter is being scored on test notes that no training saw.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The first round opens once all of them are.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The invitation is whole. Nothing has been sent yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The key {what} is not read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The mean of tasks is the mean of these, after the last round: {names}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model is being loaded.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model learns from example notes of {site} on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model learns from your notes on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model moves</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The note is read without annotation, since there is no {what} beside it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes are in a format that this program does not read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split is proposed below.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes in this folder cannot be read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The offsets count UTF-16 units and were turned into characters.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The offsets count a Windows line end as one character and were corrected.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The offsets count bytes of UTF-8 and were turned into characters.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The program has a fault</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The program is closing. The update will be here at the next start.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The question could not be asked: the note and the question are too long.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The report stays on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The round closed before it was sent.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The round closed without it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The round is closing</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The same is true of {cells} and {count:,} more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The same is true of {cells}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The scores are of the model with it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n example note(s) of {site} are waiting.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n of your notes are waiting.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>The sheet {what} is not read: only the first one with a column of texts is.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The trained adapter is scored on example notes of {site}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The trained adapter is scored on some of your notes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The work has stopped. Continue it on the page Rounds; then you can decide.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The work stopped. What was recorded is kept.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Then the host confirms this site. If the words differ, somebody is in between.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is none yet. It is made when this site joins a federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is nothing to do here until it opens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>These notes can be used as they are.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>These notes can be used. Look at the points below first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>These notes cannot be used yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>These notes have no split yet. {kept} Rows that cannot be used are left out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This cannot continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer finishes something else first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer is busy; the note is read when that is done.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file is not a types map.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This is not a folder of notes, or some of them are missing.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This is not the folder of a language model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This language model is damaged.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This round failed here</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This side could not be read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site is connected, and takes part as soon as the host confirms it. Nothing has left this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site no longer answers the coordinator. What it holds stays on this computer, and it can join again with the same folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site takes part again in the next round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site tries again by itself.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site&apos;s model, {when}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site&apos;s name there</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site&apos;s notes are much like the federation&apos;s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This update is {times:.1f} times as large as your last one. An error in the notes or a learning rate that is too high can cause this.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Three sites learn together on this computer, from bundled public notes. You decide about the updates of one of them. It takes some minutes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tick what you have seen above; then it can be sent.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Time</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>To</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>To score rounds with</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>To test with</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>To train on</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tokens/s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Too few sites sent an adapter in this round. Its host can resume it; there is nothing to do here.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Train</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training has stopped at its current step. When the round closes, it goes on without you.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training made it worse on your notes: F1 over all types fell from {before:.2f} to {after:.2f}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training made it worse on your notes: the score fell from {before:.2f} to {after:.2f}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training made it worse on your notes: {tasks}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training notes by specialty</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training stops at its current step, is saved, and continues when you open the program again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Until then you can take it back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Upload</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Uploading</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Validation loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Version</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for its turn</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for others</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for sites</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for the coordinator; nothing has left yet. It can no longer be taken back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for the host</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for the host to confirm this site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for the next round</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for your approval</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for your decision</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waits until {time}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What it shows</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What rounding took from your earlier updates leaves with this one; what it takes now stays for the next.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What was found is asked about.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Who</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>With one document or patient there are no intervals.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>With one seed there is no interval: it is not known how much another seed would change.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>With {names} each site is scored with the part that it keeps; otherwise one model is scored at all sites.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Without a map:</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Without labels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Worse than alone</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Worse than alone counts the sites of all seeds whose loss is above that of training alone.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Worst site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Worst site&apos;s F1</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Worst site&apos;s mean of tasks</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Write a reason first, for the people who read this record later.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You approved it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You decided not to send this one. Waiting for the next round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You paused the work</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your approval</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your approval was taken back because the program closed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your approval was taken back because the work was stopped.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your control variate: its change in this round leaves, and the changes of all rounds add up to it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your decision is being recorded.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for a person ({rule}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for no more than this program does ({rule}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}): {name} has approved, and another must as well.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy does not let it leave ({rule}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours). You can take it back until then.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets only {names} approve ({rule}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your notes differ</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your part</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your part is done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your personal adapter: no byte of it is in this update.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your reason</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than allowed, so it was shortened.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than updates usually do. It counted as it is.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your update of round {round} points away from the others&apos;. It counted all the same.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your update of round {round} was not combined: others were nearer to one another.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>a rule</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>about {time}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>adapter after training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>addresses</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>after the first site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>after the opening</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>after the question</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>after training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>and {n} more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>another type on the other side</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>as usual</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>attempt {number}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>before training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>better</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>bytes of {part}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>change of control variate</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>chosen</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>closes now</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>closes {time}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>closes {time}, in {left}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>combined</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>count of {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>dates of birth</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>difference, 16 bits</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>difference, 4 bits</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>difference, 8 bits</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>e-mail addresses</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>entities of type {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>factor {factor} only, {size}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>falling</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>far</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>final</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>first round: no reference yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>first token after {time}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>higher</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>ignored</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>kept</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>less than a minute</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>little</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>looks for {types}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>loss on shared notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>lower</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>lowered in round {round}: {before} to {after}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>much</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>names in headers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>never sent</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>no difference shown</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>no entities</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>nobody in time</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>none</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>none to test with</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>none yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>none, scores only</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not clear</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not known while the coordinator is away</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not measured</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>not read</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>note {done:,} of {total:,}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>notes of specialty {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>one seed, no interval</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>only here</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>other sites</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>performance</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>phone numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>postcodes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>pyqtgraph {pyqtgraph}: MIT licence. Python {python}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>raised in round {round}: {before} to {after}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>received</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>record numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>refused</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>rising</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>round</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>round closed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>round {number}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>round {round} step {step:,}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>round {round}, step {step:,}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>same</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>scores of the final adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>scores only</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>semantic</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>sending</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>sending soon</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>sha256 of the update</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>sha256 of {part}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>smoothed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>social security numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>somewhat</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>started {time}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>steady</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>step {done:,} of {total:,}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>taken back in time</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the coordinator</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the policy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the policy has changed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the program ended before the approval was in effect</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>the work was stopped</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>this program</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>training</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>update</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>validation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>validation loss {loss}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>waiting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>what</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>without progress</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>worse</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>your %n test note(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>your %n validation note(s)</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>your site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>your test notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>your validation notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{adapter} is better than the base model: {tasks}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{adapter} is worse than the base model: {tasks}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{before}, now {value}, {word}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{cell} has no result and is in no mean: {reason}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count:,} to test with</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{count} expected before round {round}</source>
        <translation type="unfinished"></translation>
    </message>
    <message numerus="yes">
        <source>{count} of %n site(s) connected.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
        </translation>
    </message>
    <message>
        <source>{count} of {all}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{done} of {total} answers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{done} of {total} sites are scored.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{drift} not measured yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{drift} not measured, because no counts are shared</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{file}, row {row}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{hours} h</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{hours} h {minutes:02d}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{hours} h {rest:02d} min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{kept:,} of {all:,} marked entities count.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{list} and {count} more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{list}; and {count} more</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{low} to {high}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{measure}, categories</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{minutes} min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{minutes}:{rest:02d} min</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{missing:,} of {all:,} cells have not run yet; means are over those that have.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{modifier}, {kind} of {mention}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is more frequent here: {own} against {federation} in the federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is rarer here: {own} against {federation}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{reason} (policy: {rule})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{scores}, mean of {n} tasks</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{seconds:.0f} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{share} of the full model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{sites} (you)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{sites} sites</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{sites} sites, {asked} asked per round</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} alone</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} computes first; the sites share this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{speed} tokens per second</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{task} from {before:.2f} to {after:.2f}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{task}, all sites, round {round}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{task}, combined model, since round {round}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{task}, for the federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{times:.1f}x your last</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{time} in total</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{time} left</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{title} chart</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{type}, if the federation has it</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{type}, on your notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{type}, without a place in the federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{value} ({low} to {high})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>± is the standard deviation over seeds.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>AnswerPanel</name>
    <message>
        <source>Entity</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Kind</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Modifier</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Modifiers and the entities that they belong to</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ApprovalsPage</name>
    <message>
        <source>Approvals</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Decisions and receipts</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Looking …</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing waits for you</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send scores</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site&apos;s record is being read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>When an adapter is trained it is shown here first; nothing leaves this computer without you.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ChangeRow</name>
    <message>
        <source>{what}: from {before} to {after}, {delta}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ChartColumn</name>
    <message>
        <source>Drift</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Known once a round has been combined</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Known once this site&apos;s first adapter is made</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rank</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round {n}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>thresholds {values}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>CheckedNotes</name>
    <message>
        <source>An empty folder for the notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Written into {folder}.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Countdown</name>
    <message>
        <source>Countdown</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Take back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Time left to take it back</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>CurvesView</name>
    <message>
        <source>Numbers of the charts</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>DecisionCard</name>
    <message>
        <source>Your decision</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>DemonstrationDialog</name>
    <message>
        <source>About this method</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Method</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Start</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>EntityLegend</name>
    <message>
        <source>Types of entities</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>EvaluationCard</name>
    <message>
        <source>A folder for scores and predictions</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Evaluate again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Evaluate on these notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How good the model is on these notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Part of the evaluation that is done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save scores and predictions…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Saved. The predictions hold words of the notes: keep them at your site.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores on these notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Test notes are used where there are some. Nothing is sent; it may take minutes to hours.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model and “{adapter}” answer for every note that has labels; both are scored.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model answers for every note that has labels, and is scored.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ExperimentCharts</name>
    <message>
        <source>By round</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>By what was moved</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Drift</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss by {moved}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rank</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>round {n}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{score} by {moved}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{unit} moved</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ExperimentPage</name>
    <message>
        <source>Back to the Monitor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Experiment: {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder of an experiment</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Lines are means over seeds. Choose a method in the table to see it apart.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Methods</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Methods compared</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No cell of this experiment has one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No result</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open another…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Setting: {title}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show all alike</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{method} stands out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{method} stands out; the dotted lines beside it are one standard deviation over seeds.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>FaultDialog</name>
    <message>
        <source>Copy details</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Details for the people who maintain the program</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show details</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The details are in the log file, {path}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Field</name>
    <message>
        <source>Browse: {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Browse…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Types maps (*.toml)</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>FindingBox</name>
    <message>
        <source>I have seen this</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>I have seen this: {finding}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>FindingsCard</name>
    <message>
        <source>All is well.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Looking… This takes some seconds; up to a minute where nothing answers.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>GuideDialog</name>
    <message>
        <source>Back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Close</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Guide</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Guide: {page}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pages of the guide</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Header</name>
    <message>
        <source>Connected</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Demonstration</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Menu</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Offline</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Refused</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Test</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>this computer</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>HelpedCard</name>
    <message>
        <source>What this means</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What this means: {title}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>IdentityCard</name>
    <message>
        <source>Compare these six words with the host by phone</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>They are the same</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>They differ…</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ImprovedCard</name>
    <message>
        <source>1 more type is in Monitor.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>F1 of round {n}: 1 is perfect, 0 is nothing found.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not yet. Scores on your own notes appear here once the adapter of this round has been trained.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores of round {n}: 1 is perfect, 0 is nothing right.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What has changed</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{n} more types are in Monitor.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>JoinPage</name>
    <message>
        <source>A small file that says which of your types is which of the federation&apos;s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All but the types map is needed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Back</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check before joining</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give the invitation first; it says where the coordinator is.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How notes and models must look</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Join</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Something above is not right yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The agreed language model; its host gives you this folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tries the way to the coordinator and looks at this computer. It says nothing about this site.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Types map (optional)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your marked notes. They are only read, and stay there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your notes stay in their folder. Nothing learned from your notes leaves before you approve it.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>KeepButton</name>
    <message>
        <source>Keep on site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Really keep it</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Lines</name>
    <message>
        <source>Last values: {values}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Menu</name>
    <message>
        <source>Appearance</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>As the system</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Dark</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>High contrast</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Larger text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Light</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Smaller text</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Usual text size</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ModelCard</name>
    <message>
        <source>Adapter: none; choose one to see it beside the model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Adapter: {name}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose adapter…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose model…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder of a model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Folder of an adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model: the small one that comes with this program</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Model: {name}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MonitorCards</name>
    <message>
        <source>Learning rate</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Peak memory</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sent / received</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Tokens per second</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MonitorControls</name>
    <message>
        <source>0.6</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>0.9</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>By step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>By time</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Export</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Export picture or numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Follow</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Follow the newest step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>None: the loss of every step</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Numbers (CSV)…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Picture (PNG)…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show all there is and what comes. Panning or zooming ends it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Show as table</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Smoothing {weight}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stretch small values (log)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>View</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>View of the charts</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>off</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{text}, of the training loss</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>MonitorPage</name>
    <message>
        <source>Close</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Loss should go down; drift should stay low; rank is how much can be learned.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of long rounds that have closed, an even selection of steps is in it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save the charts as a picture</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save the numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Saved as {path}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>NavigationBar</name>
    <message>
        <source>Pages</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>NavigationButton</name>
    <message>
        <source>{page}, {count} waiting</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>NoteCard</name>
    <message>
        <source>&amp;Looks for</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>1 character</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Change</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Change note, types or model</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Note to read</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Paste a note here. It is read on this computer and kept nowhere.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Types to look for</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{n} characters</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{types} (this federation&apos;s types)</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>NotesPage</name>
    <message>
        <source>Check again</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a file…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a folder or a file of notes to see what is in them and what needs a look. They are only read, and nothing leaves this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Choose a folder…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No notes yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open a file of notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open a folder of notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Other file…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Other folder…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Shown on this screen only. Rows are named by file and number, their words are not shown.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site&apos;s notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site&apos;s notes, as {federation} would use them: {folder}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>NotesReport</name>
    <message>
        <source>Columns of the table</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Labels</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Length</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes that are nearly the same</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rows that cannot be used</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Seen while reading</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What looks like identifiers</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>OutcomeView</name>
    <message>
        <source>Sent so far</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>PairRow</name>
    <message>
        <source>{name}: this site {own}, federation {federation}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>PolicyLine</name>
    <message>
        <source>Second &amp;person (the name of their account)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Second person</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>PreviewCard</name>
    <message>
        <source>Note {n} of your folder</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Once a notes folder is chosen, three of its notes are shown here, with their entities marked.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reading your notes…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Shown on this screen only; nothing is copied or sent.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your notes, as training will see them</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>and {n} more types</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Queue</name>
    <message>
        <source>Updates that wait</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>ReasonForm</name>
    <message>
        <source>&amp;Reason (kept in this site&apos;s record, never sent)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hold</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reason</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>RoundsPage</name>
    <message>
        <source>Join a federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Train one model together with other sites. Your notes stay on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Try a model</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SettingsDialog</name>
    <message>
        <source>Cancel</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Check the connection</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Connection</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Looks at the way to the coordinator, and at disk, memory and secret key. Nothing is joined.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Only if the proxy wants one; the name is in its address. It is kept in this program&apos;s settings file, which only your account can read, but which is not encrypted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Password for the proxy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Save</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Secret key of this site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer has not joined a federation yet. Join checks the connection too.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>“system”: as this computer&apos;s settings say. “none”: no proxy. Or the address of a proxy.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SharedCard</name>
    <message>
        <source>Federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Never: words of notes, labels, names of files, your name or your reasons.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Only after you approve, round by round: the adapter, and numbers such as counts and scores.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site beside the federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What is shared</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>While you take part: this site&apos;s name and public key, the model&apos;s fingerprint, and how far a round is here.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SheetHead</name>
    <message>
        <source>Copied</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Copy the whole fingerprint (sha256)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fingerprint</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>To {address}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SheetView</name>
    <message>
        <source>Every number</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Every number that leaves</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Fewer numbers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>For specialists</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Hide every number</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How it differs</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing else: no note text, no marked words, no person&apos;s name, no reason.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scored on</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Value</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What it is worth</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What it may reveal</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What leaves</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What stays here</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SideCard</name>
    <message>
        <source>Choose adapter…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not read with this one yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{side}: part of the note that is read</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{side}: read with</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{side}: what was found</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>SplitCard</name>
    <message>
        <source>Proposed split</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Write the split…</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Stepper</name>
    <message>
        <source>All {count} steps are done</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Step {n} of {count} failed: {word}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Step {n} of {count}: {word}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Steps of this round</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>StoryRow</name>
    <message>
        <source>The host invites you: with one line, a file, or a QR code. It works once.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You compare six words with the host by phone. If they match, nobody is in between.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You give it here, with the model and your notes, and join.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>TaskPanel</name>
    <message>
        <source>&amp;Answers</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Question</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>&amp;Task</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Answers to choose from, with | between them</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Does the note say that …?</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Question about the note</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Task</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>TrialHead</name>
    <message>
        <source>All files (*)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Ctrl+Enter</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Escape</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Examples</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open a note</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open note…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Read note</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Text files (*.txt *.text *.md)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Try it</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>TrialPage</name>
    <message>
        <source>Choose one above.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Left side</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Not read with this one yet.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Research demonstration. Not for diagnosis or treatment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Right side</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The federation has no adapter yet. After its first round it is shown here, beside the base. Until then you can choose one from a folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What this adapter finds is shown here.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What this model finds is shown here.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>With an adapter, what it finds is shown here, beside the model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{n} characters · {what}</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>TypeButton</name>
    <message>
        <source>Show or hide these marks</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{type}, {count} marked</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>UsualReasons</name>
    <message>
        <source>Take as the reason: {reason}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Usual reasons</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>VerdictCard</name>
    <message>
        <source>Check of the notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Looking through the notes…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing could be read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{n} rows so far</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>WherePanel</name>
    <message>
        <source>A coordinator on this computer…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Coordinator&apos;s address</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>From a picture…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Invitation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Invitations (*{suffix} *.txt)</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Name of this site</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of a coordinator that runs on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Once connected, Rounds shows six words. Compare them with the host by phone, at a number that you already have.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open a picture of the QR code</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open an invitation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open file…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Paste the host&apos;s line, or drop its file or a picture of its QR code anywhere on this page.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pictures ({kinds})</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator sees it. It stays yours in this federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>With an invitation…</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>Window</name>
    <message>
        <source>About and licences</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Approvals</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Dismiss</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>End the demonstration…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Guide to this page</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Open the log file</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Quit</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rounds</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Settings…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Stop taking part…</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Try it</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>WorkStrip</name>
    <message>
        <source>Continue</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pause</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Paused · step {step} of {steps}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Progress of the work on this computer</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{headline} · not sent</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site}: {line}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{size} GB memory</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>_Session</name>
    <message>
        <source>About {method}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How it came out</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It took {time}. The whole report is {path}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Scores of the demonstration</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Six words</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Strict F1 on test notes that no training saw, of one model on all sites&apos; notes and on each site&apos;s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your rounds so far</source>
        <translation type="unfinished"></translation>
    </message>
</context>
<context>
    <name>errors</name>
    <message>
        <source>--bundle-in and --bundle-out belong together: what came from the host, and what goes back.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A 4-bit base model needs the package bitsandbytes, which is not installed. Install fedmed-desktop[gpu], or continue without 4 bits.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A connection to {address} can be made, in {milliseconds} ms.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A note of {corpus} has no {what}, so the notes cannot be split by it. Choose another split.by.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A piece of an adapter cannot be accepted: {reason}. The transfer starts again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A question needs at least two answers to choose from. Write | between them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A rule needs a reason: say in a few words why every update may be sent.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A signature ({purpose}) is not by the key with fingerprint {fingerprint}. Nothing was taken from it. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A signature ({purpose}) is not by the key with fingerprint {fingerprint}. Nothing was taken from that message. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>A stored update of {sites} in round {round} is missing or damaged. The site is asked to send it again when it is connected.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>All notes belong together, so they cannot be split into train and validation. Add notes of other patients or documents.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>An invitation must say where sites find this coordinator. Give --public-address HOST:PORT, here or when you start the coordinator.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>An update from this site already counts in this round. A second one is not accepted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another connection with the name {site} replaced this one. Run each site only once.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another fedmed-desktop has been writing to {path} for several seconds. Try again in a moment.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another fedmed-desktop has the folder {path} open. This one saves no settings and no log, and cannot take part in the other one&apos;s federation. Close one of them, or start with another --data-dir.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another process of this site has ended or does not answer, so this one ends too. What it said before is above. Start torchrun again with the same --data-dir: the training goes on from its checkpoint.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another program answers at {address}, not a coordinator. Check the address and the port with the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Another site has already joined with the name {site}. Choose another --name, or use the data folder that this site joined with.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>At {proxy} something answers, but it is not an HTTP proxy. Check the proxy&apos;s address.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Both sides speak version {version} of the protocol.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Connections to {address} would not be encrypted. Only addresses of this computer, such as 127.0.0.1, are served without a certificate.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Directions were not compared, as there are only {updates} updates: three are needed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Files in the folder that are not read as notes: {count} ({names}). If they are notes, put them into a format that is read, or into a folder of their own.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Files of the model in {path} changed while the program was about to load it. Start again; the program will then check the model again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Give either an invitation or the address of a coordinator on this computer, not both.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Groups of nearly the same notes that are in more than one split: {count}. A model is then tested on what it was trained on, and its scores look too good. Move each group into one split.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>How fast the connection is could not be measured. The first round will show it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for rank {rank}, but this site&apos;s limit is {cap} (--rank-cap). The site takes part again when the coordinator asks for a lower rank.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for something other than what the federation&apos;s specification says about {method}. Nothing is trained and nothing leaves this site. Tell the host of the federation; the coordinator and the sites must use the same program.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because a coordinator must start without anybody signed in.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not answer in time when the key was made.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not give back what was stored in it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring refused to store it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring was locked when the key was made.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because the one of this account writes secrets as plain text or asks for a password in a terminal.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because the program was started without a screen.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is not in a keyring because this computer has none that can be used.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>It is the coordinator of the invitation (fingerprint {fingerprint}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Module {module} has different scales at different sites, so its factors cannot be averaged. Write combine = &quot;product&quot; in the federation&apos;s specification.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No CUDA device was found. Check the driver, or train on the CPU.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No QR code can be made out in this picture. Take one that shows the whole code, sharp and straight from the front; or paste the line instead.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No connection to {address} can be made. A firewall between the two may block it: ask the people who run this network to allow outgoing TCP connections to {host}, port {port}; or give the proxy that they use.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No coordinator answers on {address}. Start one, or give its --host and --port.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No coordinator has run with the folder {path}. Check --data-dir; or start the coordinator with it first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No corpus of the sites has labels for the task {task}. Add one that has, or leave the task out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No encrypted connection to the coordinator at {address} came about: {reason}. This site keeps trying.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No format fits {name}: {seen}. These formats are read: {formats}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No proxy is used.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No site annotates {type}: each has notes of a corpus that does not, or has no such entity. Remove it from types, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No site is called {site}, and no fingerprint begins so. See --sites for all of them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No type of entity is chosen. Choose at least one, such as drug.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No type of the experiment is annotated in all corpora of {site}. Add a type that all of them have, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>No validation note has labels for {tasks}, so what is learned of that here is never scored. Add such notes to the validation notes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>None of the columns of {name} is known to hold the notes&apos; text (found: {found}). Rename the column to text, or say which column holds the text.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>None of the training notes has labels for the federation&apos;s tasks ({tasks}), so there is nothing to learn. Check that the notes have them, such as answers for questions.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>None of the types in these notes ({found}) is part of the federation, so nothing could be learned. Add a types map with rows such as Chemical = &quot;drug&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>None of the types in these notes is known to the federation. Found: {found}; the federation&apos;s types: {expected}. Add a types map.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>None of the {notes} {split} notes has an entity of the federation&apos;s types, so there is nothing to learn or to score. Check that the notes are annotated, under a key that is read (keys that are not: {unread}), and that types.toml names their types.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Norms were not compared, as only {updates} updates are known: three are needed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes of which a part stays too long for {most} tokens, and is left out: {count}. Ask the host for a larger max_tokens, or shorten the longest mentions.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes that are nearly the same as another: {count}, in {groups} groups. They count more than once in training; keep each group in one split.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes with something that looks like an identifier of a patient: {count}. Look at the rows that are named, and take out what does not belong there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Notes without any label: {count}. They teach a task only if they were read for it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing can listen on port {port} of {address} here: {reason}. Give an address of this computer (0.0.0.0 for all of them), and a port from 1024 on.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing leaves this site until the policy in {path} is right: {key}: {reason}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing leaves this site: the policy in {path} cannot be read: {reason}. Mend that file.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Nothing leaves this site: {path} is this computer&apos;s policy, and others than the administrator can change it. Make it belong to the administrator, and let nobody else write it or its folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Of the update&apos;s values {share} % were left out, as the largest or the smallest of their coordinate; with honest sites it is about the same for all.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Only {free} are free for the folder {path}, and about {needed} are needed. Free some space, or choose a folder on another disk.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Other accounts of this computer can read the secret key in {path}, so it is not used. If nobody else can have read it, make it private (chmod 600) and start again. Otherwise remove it together with identity.json; a site then needs a new invitation with a new key.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Pieces of the notes that are too long to be read at once: {pieces}. They do not fit {tokens} tokens, even cut as small as makes sense, so they are not learned, and what they hold counts as missed. Shorten them, or ask the host for a larger max_tokens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Port {port} on {address} is already used by another program. Choose another --port.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>PySide6 {qt} crashes Python {python} within minutes, because it frees None. Install an earlier one: python -m pip install &quot;PySide6-Essentials&lt;6.12&quot;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Qt cannot start because these system libraries are missing: {libraries}. To install them: {how}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Ray has {cores} cores, too few for {workers} workers with {threads} threads each. Ask for fewer --workers.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Reading {name} needs the package spacy, which is not installed. Install it with: pip install spacy</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Round {round} stopped twice because too few updates were sent. Read above what each site says, then start again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Row {row} of the table {table} in {path} has a value that is no longer allowed: {place}. The nearest allowed value is used instead.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Row {row} of {path} is not a note in the format of this corpus ({reason}). Use the original corpus.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Rows that cannot be used: {count}. Correct or remove them; training stops at the first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>SOCKS proxies cannot be used. Give an HTTP proxy with --proxy or in Settings, or choose &quot;none&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Sites fetch the adapter of round {round} in float32: in fewer bits it would have lost {percent} % of what the round changed, and {most} % is the limit. If that happens every round, choose a larger transfer.dtype, or take out transfer.down.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Someone stands between this site and the coordinator: the encryption key on the line is {found}, the coordinator&apos;s own is {expected}. Nothing was sent. If your network inspects encrypted traffic, ask its administrators to exempt this address.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Something answers at {address}, but then says nothing. A firewall may hold back what it does not know: ask the people who run this network to let WebSocket connections to it pass.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Something unexpected went wrong in the program ({kind}). Nothing was sent because of it. Start the program again; if this happens again, send the log file to the person who supports the program.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That is a guess: the federation&apos;s own settings are not known before this site has joined. These are usual ones: batch size {batch}, up to {tokens} tokens an example, rank {rank}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>That is for the federation&apos;s own settings: batch size {batch}, up to {tokens} tokens an example, rank {rank}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The QR code in this picture is not an invitation&apos;s. Use the one that the host gave you.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The Ray engine needs Ray, which is not installed: pip install &apos;fedmed-desktop[cluster]&apos;. Or leave out --engine ray.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter contains no modules. Choose one that adapts at least one linear layer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter file {name} cannot be read: {reason}. Check the folder and its permissions.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter has format version {version}; this program knows versions up to {known}. Update fedmed-desktop.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter has no module {name}. Use adapters made for the same base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter has {size} bytes, but its tensors end at byte {expected}. Download it again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter is incomplete: it has {size} bytes, but needs {expected}. Download it again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter of round {round} has other ranks than the one before, so there is no difference in fewer bits: sites fetch it in float32. Nothing has to be done.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter that arrived is not the one that was approved: its sha256 is {found}, not {expected}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter to begin with has rank {rank}, and the federation at most {most}. Give --rank {rank} or more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter {sha256} is not on this disk.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter {sha256} of round {round} could not be rebuilt from its difference, so it is fetched whole. Nothing is lost. If that happens every round, tell the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter {sha256}, which round {round} starts from, is missing or damaged. Copy the file of that name to {path} from a backup, or from the blobs folder of a site.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter&apos;s bytes are not in the one form that fedmed-desktop writes, so its hash is of no use. Save it again with fedmed-desktop.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter&apos;s header claims {size} bytes; at most {limit} are allowed. The file is damaged or not a safetensors file; download it again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter&apos;s header is not valid: {reason}. The file is damaged or not a safetensors file; download it again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter&apos;s metadata were not written by fedmed-desktop: {reason}. Choose an adapter that fedmed-desktop wrote.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter&apos;s module {name} is {found}, but the base model&apos;s layer is {expected}. Use the base model that the adapter was made for.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapter_config.json cannot be used: {reason}. Export the adapter again with PEFT.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The adapters do not adapt the same modules: {name} is in only one of them. Use adapters of the same federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The audit file {path} cannot be read: {reason}. Check the path and its permissions.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model can read only {context} tokens at a time, which is too few for the task and a line of text. Choose another base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model has no chat template. Choose one that has, or found the federation with --prompt plain.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model has no linear layer {name}, which the adapter needs. Use the base model that the adapter was made for.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model here has another chat template than the federation&apos;s. Take tokenizer_config.json and chat_template.jinja from where its host has them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The base model&apos;s chat template cannot be used: {reason}. Choose another base model, or found the federation with --prompt plain.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The blob {sha256} does not belong to an approved update and may not leave this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The certificate in {path} cannot be used with its key: {reason}. Check both files.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The certificate in {path} expired on {date}. Get a new one from whoever issued it and start the coordinator again. Or leave out --certificate and --key: the coordinator then makes its own.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The certificate in {path} is not valid before {date} UTC. Check this computer&apos;s clock.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} has expired; this computer&apos;s clock says {clock} UTC. If the clock is right, ask the host to renew the certificate.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is for another host name, so nothing was sent. Check the address with the host; if it is right, the host needs a certificate for it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is not valid yet; this computer&apos;s clock says {clock} UTC. Set the clock right.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The computer at {host} answers, but no program listens on port {port}. Ask the host whether the coordinator runs, and whether the port is right.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as chosen.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as this computer&apos;s settings say.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The connection is encrypted with {version}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The connection to {address} was cut off at once. Either the program there does not encrypt connections: check the address with the host. Or a firewall ends what it cannot read: ask the people who run this network not to inspect connections to it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The control variate does not have the adapter&apos;s modules and ranks. Start a new federation with the same rank for all sites.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator already keeps {held} bytes of this site in this round, and takes no more than {limit}. The site takes part again in the next round; if this happens again, tell the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator at {address} closed the connection.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer to the name {host}. Ask the host to start it with --public-address {address}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer. Check that it is running; this site keeps trying.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections at the moment. This site keeps trying.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections just now. Try again in a minute.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator at {address}, or something between, only offers outdated encryption. Ask IT whether a proxy or firewall opens encrypted connections.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator could not do it: {reason}. Its log says more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator could not prove that it owns its key (fingerprint {found}). Nothing was sent. Tell the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator does not know itself by the name in {address}. Ask its host to start it with --public-address {host}; this site keeps trying.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator has the fingerprint {fingerprint}. Whether it is the right one, only an invitation can tell: ask the host for one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator is at {address}, on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator is at {address}; the connection is encrypted.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator on this computer has the fingerprint {fingerprint}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator sends only {speed} Mbit/s to this computer. With an adapter of {size} (rank {rank}), there and back take about this many minutes in a round: {minutes}. Tell the host, who can choose longer deadlines or a smaller rank; or use a faster connection.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), there and back take about this many minutes in a round: {minutes}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), there and back take less than a minute in a round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The coordinator with the folder {path} ended before it was done. Start it, and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The corpus {corpus} is not bundled. Give the folder that contains it with --data.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The desktop needs {package}, which is not installed. In the checkout: python -m pip install &quot;.[desktop]&quot;</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The disk is full, so {path} cannot be written. Free some space; everything that was acknowledged is safe.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The encoder in {path} cannot be loaded: {reason}. Choose the folder of a Hugging Face encoder, such as a BERT, with safetensors and tokenizer.json.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The entry of tensor {tensor} in the header is wrong: {reason}. The file is damaged; download it again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The experiment has no method or baseline {label}. It has: {known}. Correct --only.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The experiment has no tuning_seeds. Add some to its file, or leave out --tuning.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The experiment in {path} has format {found}; this program reads format {known}. Open it with the version of fedmed-desktop that wrote it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The experiment {path} cannot be read: {reason}. Correct the file, which must be TOML.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The federation specification {path} cannot be read: {reason}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The file {path} cannot be used: {reason}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The first adapter {sha256} of this federation is not in {path}. Copy the .safetensors file there that --new-federation wrote beside the specification.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder {name} already has a {file}. Choose an empty folder for the notes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder {path} belongs to a federation with another specification. Choose another --data-dir, or use the specification that it was started with.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder {path} belongs to another account, which could take the secret key out of it. Choose another --data-dir, or sign in with that account.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder {path} cannot be made: a file or a system folder is in its place. Choose another folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder {path} is in use by another fedmed-desktop. Close that one, or choose another --data-dir.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The folder {path} is in use, but no coordinator there takes the errand: it may be of an earlier version, or about to end. Stop it and try again, or look at its log.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The host has shut out {site}, or has let in another key under this name. If that is a mistake, ask the host for a new invitation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The invitation is for the site {invited}, not for {name}. Leave out --name.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The invitation of {site} expired at {until}. Ask the host for a new one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The invitation of {site} has been used already; each one lets in one site, once. Join with the data folder that used it. If that was not you, tell the host at once, who can revoke {site}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The key in {key} does not belong to the certificate in {path}. Give the key that the certificate was requested with.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The key in {key} fits a certificate in {path}, but not the first one. Put the coordinator&apos;s own certificate first in the file, and those of the authorities after it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The key in {path} is locked with a password, and a coordinator that starts by itself cannot ask for one. Save the key without a password in a file that only this user can read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The keyring ({keyring}) no longer has the secret key of this data folder. Restore the keyring from a backup. If that is not possible, remove {path} and ask the host for a new invitation with a new key.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The keyring ({keyring}), in which the secret key lies, cannot be used just now. Check that it works for other programs, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The keyring ({keyring}), in which the secret key lies, does not answer. It may be waiting for its password in a window: give it, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The keyring ({keyring}), in which the secret key lies, is locked. Unlock it, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The layers of the model in {path} have other names in its files than once it is loaded, so that torch is needed to found a federation on it. Install fedmed-desktop[site] on this computer, or found the federation on one that has it and copy the folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model file {path} is damaged: {reason}. Download the model again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model folder {path} also contains an adapter ({file}), which would be loaded as part of the base model without anybody noticing. Move the adapter&apos;s files to a folder of their own.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model given with --score-with is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Give the model folder that the federation was made with.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its layers have names like {name}, without the model&apos;s part before them, so it was saved without its head. Choose the whole model, saved by transformers&apos; AutoModelForCausalLM.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its weights are already quantised ({method}). Choose the same model as 16- or 32-bit numbers; each site may still hold it in 4 bits (--nf4).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: the layers of {kind} models are no linear layers (torch&apos;s Linear) but of a kind of their own (Conv1D). Choose another base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models have an encoder and a decoder. Choose a causal language model, which continues a text.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models keep what they have read in a state of their own, which this program cannot carry on when it scores notes. Choose a base model with attention, such as Llama, Qwen, Gemma, Mistral, Phi or Granite.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models use the same layers in several places. Choose another base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is no linear layer once the model is loaded ({found}). Choose another base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is {found} in its files, but its config.json makes it {expected}. Download the model again, or choose another.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} cannot be loaded: {reason}. Choose the folder of a Hugging Face causal language model that this version supports.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} comes with a program of its own, which is never run. Choose a model that the transformers library knows by itself.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} has no linear layers inside decoder blocks, so it cannot be adapted. Choose another base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} is incomplete: {file} is missing, which its index names. Download the model again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model in {path} is of a kind from which the transformers library loads no causal language model. Choose one that it does, such as the text model by itself.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model {model} is neither a folder nor in this computer&apos;s cache. Download it once with: hf download {model}</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The model&apos;s loss {moment} is not a number: training has diverged, here or at another site. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The module {name} has shape {left} in one adapter and {right} in another. Use adapters made for the same base model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The name {host} is known: {found}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The name {host} is not known here. Check its spelling and this computer&apos;s network; if the name is only known inside a hospital or a VPN, connect to that first, or ask the host for the address in numbers.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split that keeps patients, documents and near-duplicates together is proposed; --split-into FOLDER writes it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes file {name} cannot be read: {reason}. Choose another file, or mend this one; text files may be compressed with gzip if their name ends in .gz.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes file {name} cannot be used: {reason}. Correct or remove it and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes file {name} does not exist. Check its name and folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. Correct this row and try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. More rows with an error: {more}. Correct them and try again; this lists them all: fedmed-desktop --check-notes</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes folder {name} has both {first} and {second}. Remove the one that you do not want to use.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes folder {name} has no {split}.jsonl or {split}.jsonl.gz, and no {split} in another format. Put the {split} notes there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes have labels for none of the tasks of {name}: {tasks}. Annotate them, or check that the labels are where they are read from.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes have no labels for the task {task}. This site takes part without it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The notes of {corpus} have labels for none of the experiment&apos;s tasks: {tasks}. Annotate them, or leave the corpus out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The other side sent something that this version does not understand ({place}: {reason}). Use the same version of fedmed-desktop on both sides.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The processes of a site must be on one machine: what passes between them is of its notes, and it is not encrypted. Start torchrun with --nnodes 1.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The proxy {proxy} answers, but it cannot reach the coordinator at {address} (HTTP {status}). Check the address, and ask the people who run the proxy whether it may connect there.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The proxy {proxy} does not accept the name and the password that it was given. Correct them before you try again: repeated tries may lock the account.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The proxy {proxy} does not answer. Check its address, and that this computer is in the network that it belongs to; or choose another proxy, or none.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The proxy {proxy} refuses connections to {address} (HTTP {status}). Ask the people who run it to allow HTTP CONNECT to this address and port.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a name and a password. Give them in the proxy&apos;s address, as http://name:password@…, with --proxy, in HTTPS_PROXY or in Settings.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a sign-in of a kind that fedmed-desktop does not know ({ways}). Ask the people who run it to let this computer connect to {address} without one, or with a name and a password (Basic).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The rank {rank} cannot be used. Choose a whole number of at least 1.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The results and the table are in {path}, but matplotlib, which draws the plots, is not installed. Install it with pip install &apos;fedmed-desktop[lab]&apos;, then run the lab again with the same --out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The round had already closed when the update arrived. The adapter stays at the site.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The round has moved on; this update is no longer needed. Nothing was sent.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The scale {scale} of {name} cannot be used. It must be a finite number greater than 0.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key in {path} is not the one that the folder {folder} was made with. Give the earlier key, or another --data-dir.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key is missing: there is no file {path}. Restore it from a backup. If that is not possible, remove identity.json from the data folder; a site then needs a new invitation with a new key.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key is read from {detail}, as set up by the administrator of this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key lies in a keyring ({keyring}), but none can be used just now. Start the program in a desktop session of the account that joined, then try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key lies in the file {detail}. Only this account can read it, but it is not encrypted: do not copy it, and leave it out of backups that others can read.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key lies in this account&apos;s keyring ({detail}).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key of the folder {path} is given by the administrator of this computer, but not at this start. Start it as a service again, or name the key&apos;s file in FEDMED_SITE_KEY_FILE (for a coordinator: FEDMED_COORDINATOR_KEY_FILE).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The secret key that was found is not the one of this data folder (fingerprint {fingerprint} in {path}). Restore both from the same backup.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The settings could not be read. They were moved to {path}, and the program starts with the default settings.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The signature of {path} is not valid: the file was changed after it was signed. Ask its owner for another export.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The site in {path} has joined no federation yet. Give the host&apos;s invitation with --invitation, or --join and --name for a coordinator on this computer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The site no longer has this update, so it cannot be fetched.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The site uses protocol version {site}, the coordinator {coordinator}. Use the same version of fedmed-desktop on both sides.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The site {site} could not prove that it owns its key. Nothing was taken from it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The site {site} has a new key now, so its old key no longer counts. If this site did not join again elsewhere, tell the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The sites can spare {found} validation notes, but shared_notes is {wanted}. Lower it, or raise split.validation_share.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The stored adapter {sha256} is damaged: its bytes have changed. Copy it from a backup, or download it again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The table of ICD-10-CM codes that comes with this program is missing or damaged, so no code can be looked up. Install the program again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tensor {tensor} contains values that are not finite numbers. Training may have diverged; lower the learning rate and train again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tensor {tensor} does not belong in a LoRA adapter. Choose an adapter with only LoRA factors of linear layers.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tensor {tensor} has shape {shape}, but {expected} is needed. Create the adapter again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tensor {tensor} has type {dtype}; {expected} is needed. Save the adapter in that type.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tensor {tensor} is missing, but the other factor of its pair is there. Create the adapter again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tokenizer in {path} does not belong to the model beside it: it has a token with the number {number} ({token}), and the model knows {rows}. Download the model again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The tokenizer in {path} names no end token, so that an answer would never end. Choose a base model whose tokenizer has one (eos_token).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The transfer stood still. Its place was given to another site, and it goes on from where it was.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The types file {name} cannot be used: {reason}. It needs a table [types.map] with rows such as Chemical = &quot;drug&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The types file {name} does not exist. Check its name and folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The types map translates {local} to {target}, but the federation&apos;s types are {expected}. Correct the map.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update adapts {module}, which is not part of this federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update answers another plan than the one this site has in this round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update cannot be unpacked: {reason}. Send it again; if this is said once more, train the round again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It counts as it is. Ask the site whether its notes or its training have changed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It was shortened to the bound. Ask the site whether its notes or its training have changed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update does not adapt {module}, which is part of this federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update does not have the parts that the plan asked for.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update has rank {found} in {module}; the plan asked for {expected}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update has scale {found} in {module}; the federation&apos;s scale is {expected}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update has shape {found} in {module}; the base model needs {expected}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update has values larger than {largest} in {module}, so training has diverged. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update has {size} bytes; an update of the planned rank has at most {limit}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update points away from the others: its cosine with their mean is {cosine}, below {least}. It counts all the same. Ask the site what its notes are about; unusual notes are no fault.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update that the round waits for is no longer at the site either. Copy the file {sha256} to {path} from a backup.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update was not combined: of {updates}, others are nearer to one another (Krum). Its site takes part in the next round as before.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update {sha256} stays on this computer: the audit file {path} does not say that it was to be released. Keep both files, and have them looked at before you go on.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update&apos;s model has no finite loss on the coordinator&apos;s notes, so it cannot be given a weight. Training may have diverged; lower the learning rate and train again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update&apos;s norm is {found}, but its report says {reported}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update&apos;s report counts notes by specialty or type, which this federation does not share. Use the same program as the coordinator.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update&apos;s report does not contain the loss on the federation&apos;s shared notes, which decides its weight. Give this site the shared notes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update&apos;s report does not say how many notes of each specialty (or entities of each type) the site has, which the method needs. Add the specialties to the site&apos;s notes, or leave the federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The update&apos;s report has scores for tasks, types or measures that are not part of this federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>The {device} does not have enough memory for one note. Choose a smaller base model, a 4-bit base model, or a smaller max_tokens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There are no {split} notes that fit the federation&apos;s maximum length. Add notes, or ask for a larger max_tokens.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There are no {split} notes. Put some there, or leave out the split of all notes and let one be proposed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few for Krum, which needs two for each site that may be wrong and three more. They were combined by their usual weights.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few to leave out any of their values. They were combined by their usual weights.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There are {groups} groups of notes for {sites} sites. Ask for fewer sites or more notes.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There are {processes} processes and only {cards} GPUs, and each needs one of its own. Start torchrun with --nproc-per-node {cards}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no adapter at {path}. Check the path.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no audit file at {path}. Choose the data folder of a site or a coordinator, its audit.sqlite, or an exported .json file.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no column {column}, which was named for {role}. The table&apos;s columns: {found}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set). Without one, take part with fedmed-desktop --site, or see the demonstration with --demo --terminal or --demo --offscreen.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no experiment at {path}. Give a TOML file; there are some in resources/experiments.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no federation specification at {path}. Write one with --new-federation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no file {path}. Check that the medium is in, and the path.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no file {path}. Check the path. An invitation&apos;s line begins with fedmed:.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no file {path}. Give --certificate and --key the files of the certificate and of its key, or leave out both: the coordinator then makes its own.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no invitation in this. It is one line that begins with fedmed: and comes from the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no method {method}. Choose one of {known}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no model folder at {path}. Check the path.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no note that can be used.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no notes folder at {path}. Choose a folder with one folder for each site.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no notes folder {name}. Choose the folder that contains the notes to train and to validate on, such as train.jsonl and validation.jsonl.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no question. Write what you want to know about the note.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no text to read. Paste or open a note first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>There is no update {sha256} in the outbox.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>These are too many answers: {limit} at most. Leave some out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>These notes have no labels for {tasks}. Choose notes that are annotated for it, or another task.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This PEFT adapter uses {feature}, which a federation cannot combine. Use plain LoRA or rsLoRA on linear layers.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This adapter was made for another model. Choose one that was made for this model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer and the coordinator agree about the time.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer does not trust the certificate of the coordinator at {address} ({reason}), so nothing was sent. If your hospital has its own certificate authority, ask IT to install its root certificate here; otherwise ask the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min ahead of the coordinator&apos;s. One of the two is wrong: let both computers take the time from a time server.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min behind the coordinator&apos;s. One of the two is wrong: let both computers take the time from a time server.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This data folder belongs to the federation {known}, but the coordinator runs {found}. Choose another --data-dir.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This federation does not know this site. Ask the host for an invitation, and join with it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This federation&apos;s method needs rank {rank} at each site, but this site&apos;s limit is {cap}. Leave out --rank-cap, or ask the host for a method that allows different ranks, such as flexlora.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file cannot be read as a carried round ({place}). Copy it once more, or have it made again with the same version of fedmed-desktop.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file is a site&apos;s answer. It belongs to the coordinator, which takes it with --import-update.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file is for {found}, and this site is {site}. Use the file that the host made for {site}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file is not signed by the one who it says it is from. Nothing was taken from it. Tell the host: someone may have changed it on its way.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file was changed after it was signed. Nothing was taken from it. Copy it once more; if that does not help, tell the host: someone may have changed it on its way.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file was made for a site, by --export-round. The coordinator takes the file that the site wrote with --bundle-out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This file was made with another version of fedmed-desktop (protocol {found}, here {known}). Use the same version on both sides.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This invitation does not count: a newer one replaced it, the host took it back, or it is of another federation. Ask the host for a new one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This invitation has something in it that no invitation can have. Ask the host for a new one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This invitation is from another coordinator (fingerprint {found}) than the one that this site joined (fingerprint {expected}). Use the data folder that belongs to it, or ask the host which is right.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This invitation is mistyped or incomplete: its checksum is wrong. Nothing was sent. Copy it once more, the whole line from fedmed: to its end.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This invitation was made by a newer version of fedmed-desktop (format {found}; this one reads {known}). Install the version that the host has.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This is far longer than an invitation. Paste the line that begins with fedmed: and nothing else.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This is not a file or folder on this computer. Choose one with Browse.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This is not a proxy&apos;s address. Give one such as http://proxy.example.org:3128 (with a name and a password: http://name:password@proxy.example.org:3128), or &quot;system&quot; or &quot;none&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This is not the coordinator that the invitation is from: its fingerprint is {found}, and {expected} is expected. Nothing was sent. Ask the host by phone before you try again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This model does not fit into this computer&apos;s memory: it takes {least} at least, and there are {total}. Use a computer with more memory, or ask the host for a smaller model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This model does not fit into {gpu}: it takes {least} at least, and there are {total}. Hold it in 4 bits (--nf4), use a computer with a larger GPU, or ask the host for a smaller model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This note has more than {limit} characters. Shorten it, or read it in parts.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site has never joined the coordinator at {address}. Ask its host for an invitation.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site has no secret key yet. It is made when the site joins first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site was not asked for an update in this round.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This site&apos;s base model is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Choose the model folder that the federation was made with.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>This update is {state}, so it cannot be {decision} any more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Too many messages came at once, so the connection was closed. It is made again by itself.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Too many wrong codes came from this address. Wait a minute, and copy the invitation whole.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training failed at step {step}: the loss is no longer a number at learning rate {rate}. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training this model takes about {needed} for a whole batch, and {gpu} has {total}. With less at once it takes {least} or more, and longer. Hold the model in 4 bits (--nf4) to be quicker.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, at the very least {least}, and this computer has {total} of memory: it may not fit. Hold the model in 4 bits (--nf4), or use a computer with more memory.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of this computer&apos;s {total} are free. Close other programs before the federation begins.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of {gpu}&apos;s {total} are free. Close what else uses it before the federation begins.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Two adapters are both called {name}. Copy one of them to a folder of another name.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Types of the federation that the notes do not annotate: {types}. This site is neither trained nor scored on them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What answers at {address} does not encrypt, so it is not the coordinator, or something between changes the connection. Check the address and the port with the host.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>What answers at {address} is not a coordinator (HTTP {status}). Check the address with the host; this site keeps trying.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>With split.by = &quot;{by}&quot; the notes have {found} different labels, too few for {sites} sites. Ask for fewer sites, or write by = &quot;dirichlet&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>You can look for at most {limit} types at a time. Name fewer types.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) allows rank {most} at most, and this has rank {found}. Nothing is trained or leaves. Start the site with --rank-cap {most}, so that it is asked for no more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for a person: a rule that approves by itself does not count here. Decide at the desktop, or start the site without --approve-rule.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for no more than this program does.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for two people: a second one must approve as well.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for {least} training notes at least, and this is trained on {found}. It stays here. Add notes, or ask whoever keeps the policy.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) does not let this leave. It stays here. Whoever keeps the policy can change that rule.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) leaves no hour of the week in which anything may leave: its files do not agree. Ask whoever keeps the policy.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets only these people approve: {names}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets {most} bytes leave at most, and this update has {found}. It stays here. A smaller rank makes it smaller; or ask whoever keeps the policy.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{address} is not a coordinator&apos;s address. Give one such as wss://federation.example.org:8765.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{address} is on another computer, and a ws:// connection is not encrypted. Ask the host for an invitation, which has an encrypted address.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{corpus} annotates none of the experiment&apos;s types. It has: {found}. Add one of these to types, or leave the corpus out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{corpus} has too few notes ({found}) that no site has. Choose another corpus, or ask for fewer.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{free} are free for the folder {path}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{free} are free for the folder {path}; about {needed} may be needed. Free some space before the federation begins.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{given} names no cohort. Write --cohort NAME=PATH, such as --cohort Northside=notes/northside.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{gpu} has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{method} does not need the coordinator to measure updates. Leave out --score-with, or set measured_by = &quot;coordinator&quot; if the method has it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{method} needs the coordinator to measure each update, so the coordinator needs a base model and notes. Start it with --score-with MODEL NOTES, or choose another method.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} cannot be a site&apos;s name. Use up to 60 letters, digits, spaces and . , &apos; - &amp; ( ), and begin with a letter or digit.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} cannot be a type. Write plain words separated by commas, such as drug, problem.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} cannot be joined: its method {method} needs {scalar} of each update, and your hospital&apos;s policy (scalars) does not let that leave. Ask whoever keeps the policy, or the host for another method.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} cannot be read as a picture. Take another one, or paste the line instead.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} cannot be the name of a module. Use the base model&apos;s own names, such as model.layers.0.self_attn.q_proj.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} contains no notes that can be used. Check that it is the right file or folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} has approved this already: your hospital&apos;s policy (four_eyes) asks for a second person. Nothing has left.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is not a text file. Open a note as plain text, or copy its text and paste it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} is not in UTF-8. Save it as UTF-8 text, or copy its text and paste it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{name} may not approve here: your hospital&apos;s policy (approvers) names {names}. Nothing has left. Ask one of them.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} already exists. Choose another --out folder; an existing federation is never overwritten.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} and {other} are of the same side. Compare a site&apos;s audit file with its coordinator&apos;s.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} cannot be read ({reason}). Use the original corpus, as gzip&apos;d JSON lines.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} cannot be used: {reason}. Copy it once more from where it was made.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} contains no experiment. Choose a folder that fedmed-desktop --lab has written.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} could not be saved: {reason}. Choose another folder or name.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} does not exist. Give the folder of the evaluation data with --data.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} does not hold a secret key: 64 hexadecimal digits are needed. Restore it from a backup, or give the right file.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} ends in neither .csv nor .json. Give the export one of these endings.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} has a {file}, but not the experiment that it belongs to. Choose another folder as --out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} has no map for the types of {corpus}. Use the original evaluation data, or write [corpora.types].</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} has notes of {found} sites, but {wanted} are needed. Add folders or lower --sites.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} holds results of {label} with other settings. Give the method a label of its own, or choose another --out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} holds the results of another experiment ({found}), or of an earlier version of this one. Choose another --out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is a packed backup. Unpack it into a folder of its own (tar -xf {path} -C FOLDER), and give that folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is damaged in line {line}: {reason}. Remove this line and run the lab again with the same --out, or choose another folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is damaged. It holds what this site learned for itself in an earlier round, which is never sent. Restore it from a backup; or remove the folder {folder}, and the site continues without it.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is damaged: row {row} of its table {table} {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Choose another --out; or delete this file and cells.jsonl beside it, and run the lab again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is missing or empty, but {folder} holds adapters of a federation that has started. Restore {path} from a backup, or choose another --data-dir to start again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is neither an audit file nor an export of one. Choose a data folder, its audit.sqlite, or a .json file that --verify-audit --export wrote.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is not a certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----). Give --certificate a file of that form, with the coordinator&apos;s own certificate first.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is not a model folder: it has no {file}. Choose the folder of a Hugging Face causal language model.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is not a private key that can be used. Give --key the key&apos;s file in PEM form (it begins with -----BEGIN PRIVATE KEY-----).</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is not an adapter: {reason}. Choose a PEFT folder, or a .safetensors file that fedmed-desktop wrote.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is not the chain that the other side knows: entry {held} of {other} holds a head that is not in it. From entry {entry} on, entries were changed or cut off. Compare it with a backup.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is on a file system where a database is not safe (a network drive?). Choose a local disk.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is on a read-only disk; a disk can become read-only after a fault. Make it writable again; everything that was acknowledged is safe.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is the data folder of a coordinator. Choose another --data-dir for the site.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is the data folder of a site. Choose another --data-dir for the coordinator.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is there already and is not an earlier invitation of {site} to this federation. Move it away, or choose another folder with --out.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} is there already. Choose another name for the backup; a folder must be new or empty.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} was damaged, so the curves of earlier rounds are gone. It is kept as {aside}; new values are recorded again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} was signed with the key {found}, but its entries name the key {expected}. Ask its owner for an export that the owner&apos;s own key signed.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path} was written by a newer version of fedmed-desktop (schema {found}; this one knows {known}). Use that version or a later one.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: a trimmed mean needs sites that train one factor and have the other in common, else a single value means something different at each. Choose the method ffa or rolora, or write screening.robust = &quot;multi_krum&quot; or screening.action = &quot;clip&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: entry {entry} {reason}. Keep the file as it is, and compare it with a backup and with the other side&apos;s audit file.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: fedex averages the factors and adds the part that this misses; a product or a stack misses nothing. Write combine = &quot;factors&quot;, or choose flexlora or flora.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: fednova continues from where the round started, but a stack starts afresh in each round. Write combine = &quot;factors&quot; or &quot;product&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: fedrot rotates the factors without changing their product, so it only makes a difference when factors are averaged. Write combine = &quot;factors&quot;, or choose fedavg.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: fedsa keeps B at the sites, so there is no product to combine or stack. Write combine = &quot;factors&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: ffa keeps one A for the whole federation, which makes averaging exact; a product or a stack would replace A. Write combine = &quot;factors&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: flexlora averages products. Write combine = &quot;product&quot;, or choose fedavg.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: flora stacks the updates. Write combine = &quot;stack&quot;, or choose fedavg.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: in adaptive_fedlora sites have different ranks and each starts from a matrix cut to its rank in its own basis, so averaging the factors would mix values that do not belong together. Write combine = &quot;product&quot; or &quot;stack&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: in fedsa half of each model stays at its site, so its update has neither a size nor a direction. Take out [screening], or choose another method.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: in the lab the coordinator has no notes of its own. Write measured_by = &quot;sites&quot;; the experiment&apos;s shared notes are then used.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: rolora freezes one factor in each round, which makes averaging exact; a product or a stack would change both factors. Write combine = &quot;factors&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: scaffold with form = &quot;sgd&quot; computes gradients from the steps, which only works with SGD. Write form = &quot;gradient&quot;, or training.optimizer = &quot;sgd&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates and the coordinator&apos;s must move by the very same numbers, so its updates travel in float32 alone. Take out [transfer], or choose another method.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates are directions of A and B, which a product or a stack replaces with others. Write combine = &quot;factors&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates come with the updates and would no longer fit the sites if an update were shortened or left out. Write screening.action = &quot;tell&quot; and screening.robust = &quot;mean&quot;, or choose another method.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on notes that everyone may read. Set shared_notes to 1 or more.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on shared notes, which hold texts and entities, and none of the tasks is learned from these. Choose another method, or add the task &quot;entities&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: this method weights sites by what their notes are about. Write share.histogram = &quot;specialties&quot; (or &quot;types&quot;), or set its semantic weight to 0.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: with combine = &quot;stack&quot; each round starts afresh, so what an update lost in fewer bits has no place in the next one. Write transfer.feedback = false.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: with fedex, and where updates are stacked, most of what sites fetch lies frozen beside the common adapter and travels in float32. Take out transfer.down, or choose another method.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on notes that everyone may read. Add [[shared_notes]], or write measured_by = &quot;coordinator&quot; and start it with --score-with.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on shared notes, which hold texts and entities, and none of the tasks is learned from these. Write measured_by = &quot;coordinator&quot; and start it with --score-with, choose another method, or add the task &quot;entities&quot;.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: {key}: {reason}. Correct this key and start again.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{path}: {method} gives all sites the same rank, and rank {rank} is over the smallest cap, {cap}. Write rank = &quot;smallest_cap&quot; for this method, or raise hardware.caps.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{role} is nothing that a column can be. Choose from: {known}.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} could be any of these: {names}. Give the exact name, or more of the fingerprint.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} has been revoked. To let it in again, use --invite with this name.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} has joined already. If it needs a new key (another computer, a lost data folder), use --rotate; to shut it out, --revoke.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} has no {split} notes left ({sites} sites, seed {seed}). Ask for fewer sites or more notes, raise split.validation_share, lower split.ratio, or split by something else.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} is connected just now, so nothing is taken from a file of it. Let it send its update over the line.</source>
        <translation type="unfinished"></translation>
    </message>
    <message>
        <source>{site} looks like {other}, which is a name in this federation already. Choose another name.</source>
        <translation type="unfinished"></translation>
    </message>
</context>
</TS>
