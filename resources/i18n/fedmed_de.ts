<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="de">
<context>
    <name></name>
    <message>
        <source> and </source>
        <translation> und </translation>
    </message>
    <message>
        <source> or </source>
        <translation> oder </translation>
    </message>
    <message numerus="yes">
        <source>%n are not asked</source>
        <translation>
            <numerusform>%n ist nicht gefragt</numerusform>
            <numerusform>%n sind nicht gefragt</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are offline</source>
        <translation>
            <numerusform>%n ist offline</numerusform>
            <numerusform>%n sind offline</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are sending</source>
        <translation>
            <numerusform>%n sendet</numerusform>
            <numerusform>%n senden</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are training</source>
        <translation>
            <numerusform>%n trainiert</numerusform>
            <numerusform>%n trainieren</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n byte(s)</source>
        <translation>
            <numerusform>%n Byte</numerusform>
            <numerusform>%n Bytes</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n code(s) would be chosen, in bold.</source>
        <translation>
            <numerusform>%n Code würde gewählt, fett gedruckt.</numerusform>
            <numerusform>%n Codes würden gewählt, fett gedruckt.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n core(s)</source>
        <translation>
            <numerusform>%n Kern</numerusform>
            <numerusform>%n Kerne</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found before you stopped it.</source>
        <translation>
            <numerusform>%n Entität gefunden, bevor Sie angehalten haben.</numerusform>
            <numerusform>%n Entitäten gefunden, bevor Sie angehalten haben.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found so far.</source>
        <translation>
            <numerusform>%n Entität bisher gefunden.</numerusform>
            <numerusform>%n Entitäten bisher gefunden.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found.</source>
        <translation>
            <numerusform>%n Entität gefunden.</numerusform>
            <numerusform>%n Entitäten gefunden.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities: {list}</source>
        <translation>
            <numerusform>%n Entität: {list}</numerusform>
            <numerusform>%n Entitäten: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s)</source>
        <translation>
            <numerusform>%n Eintrag</numerusform>
            <numerusform>%n Einträge</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s) since then.</source>
        <translation>
            <numerusform>%n Eintrag seitdem.</numerusform>
            <numerusform>%n Einträge seitdem.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s); the last one&apos;s hash is {head}.</source>
        <translation>
            <numerusform>%n Eintrag; sein Hash ist {head}.</numerusform>
            <numerusform>%n Einträge; der Hash des letzten ist {head}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n example note(s)</source>
        <translation>
            <numerusform>%n Beispieltext</numerusform>
            <numerusform>%n Beispieltexten</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have paused</source>
        <translation>
            <numerusform>%n pausiert</numerusform>
            <numerusform>%n pausieren</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have sent</source>
        <translation>
            <numerusform>%n hat gesendet</numerusform>
            <numerusform>%n haben gesendet</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n keep their adapters</source>
        <translation>
            <numerusform>%n behält seinen Adapter</numerusform>
            <numerusform>%n behalten ihre Adapter</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n kind(s)</source>
        <translation>
            <numerusform>%n Art</numerusform>
            <numerusform>%n Arten</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n matrices</source>
        <translation>
            <numerusform>%n Matrix</numerusform>
            <numerusform>%n Matrizen</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n method(s)</source>
        <translation>
            <numerusform>%n Methode</numerusform>
            <numerusform>%n Methoden</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s) linked.</source>
        <translation>
            <numerusform>%n Zusatzangabe zugeordnet.</numerusform>
            <numerusform>%n Zusatzangaben zugeordnet.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s): {list}</source>
        <translation>
            <numerusform>%n Zusatzangabe: {list}</numerusform>
            <numerusform>%n Zusatzangaben: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n module(s)</source>
        <translation>
            <numerusform>%n Modul</numerusform>
            <numerusform>%n Module</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s)</source>
        <translation>
            <numerusform>%n Text</numerusform>
            <numerusform>%n Texte</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read in parts that overlap, {windows} in all; nothing is left out.</source>
        <translation>
            <numerusform>%n Text wird in Teilen gelesen, die sich überlappen, {windows} insgesamt; nichts wird ausgelassen.</numerusform>
            <numerusform>%n Texte werden in Teilen gelesen, die sich überlappen, {windows} insgesamt; nichts wird ausgelassen.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read whole.</source>
        <translation>
            <numerusform>%n Text wird als Ganzes gelesen.</numerusform>
            <numerusform>%n Texte werden als Ganzes gelesen.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) stay too long for {most} tokens in some part.</source>
        <translation>
            <numerusform>%n Text bleibt in einem Teil zu lang für {most} Tokens.</numerusform>
            <numerusform>%n Texte bleiben in einem Teil zu lang für {most} Tokens.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) that all sites may read.</source>
        <translation>
            <numerusform>Text, den alle Standorte lesen dürfen.</numerusform>
            <numerusform>%n Texte, die alle Standorte lesen dürfen.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) to train on, {validation:,} to score rounds with, {test}.</source>
        <translation>
            <numerusform>%n Text zum Trainieren, {validation:,} zum Bewerten der Runden, {test}.</numerusform>
            <numerusform>%n Texte zum Trainieren, {validation:,} zum Bewerten der Runden, {test}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s), {format}.</source>
        <translation>
            <numerusform>%n Text, {format}.</numerusform>
            <numerusform>%n Texte, {format}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s).</source>
        <translation>
            <numerusform>%n Text.</numerusform>
            <numerusform>%n Texte.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your counts are below {few}: a rare kind of note can point to single patients.</source>
        <translation>
            <numerusform>%n Ihrer Anzahlen liegt unter {few}: Eine seltene Art von Text kann auf einzelne Patienten hinweisen.</numerusform>
            <numerusform>%n Ihrer Anzahlen liegen unter {few}: Eine seltene Art von Text kann auf einzelne Patienten hinweisen.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, kept aside</source>
        <translation>
            <numerusform>%n Ihrer zurückgehaltenen Texte</numerusform>
            <numerusform>%n Ihrer zurückgehaltenen Texte</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, never used for training</source>
        <translation>
            <numerusform>%n Ihrer in keinem Training verwendeten Texte</numerusform>
            <numerusform>%n Ihrer in keinem Training verwendeten Texte</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of {all} entries match(es).</source>
        <translation>
            <numerusform>%n von {all} Einträgen passt.</numerusform>
            <numerusform>%n von {all} Einträgen passen.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n other(s)</source>
        <translation>
            <numerusform>übrige: %n</numerusform>
            <numerusform>übrige: %n</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n page(s) found</source>
        <translation>
            <numerusform>%n Seite gefunden</numerusform>
            <numerusform>%n Seiten gefunden</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n row(s) cannot be used.</source>
        <translation>
            <numerusform>%n Zeile ist nicht verwendbar.</numerusform>
            <numerusform>%n Zeilen sind nicht verwendbar.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n seed(s)</source>
        <translation>
            <numerusform>%n Seed</numerusform>
            <numerusform>%n Seeds</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n sent nothing</source>
        <translation>
            <numerusform>%n hat nichts gesendet</numerusform>
            <numerusform>%n haben nichts gesendet</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected</source>
        <translation>
            <numerusform>%n Standort verbunden</numerusform>
            <numerusform>%n Standorte verbunden</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected.</source>
        <translation>
            <numerusform>%n Standort verbunden.</numerusform>
            <numerusform>%n Standorte verbunden.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) have made no progress for {time}.</source>
        <translation>
            <numerusform>%n Standort kommt seit {time} nicht voran.</numerusform>
            <numerusform>%n Standorte kommen seit {time} nicht voran.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) take part</source>
        <translation>
            <numerusform>%n Standort nimmt teil</numerusform>
            <numerusform>%n Standorte nehmen teil</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) that have not sent are not waited for; their work in this round is not used.</source>
        <translation>
            <numerusform>Auf den einen Standort, der nicht gesendet hat, wird nicht gewartet; seine Arbeit in dieser Runde wird nicht verwendet.</numerusform>
            <numerusform>Auf %n Standorte, die nicht gesendet haben, wird nicht gewartet; ihre Arbeit in dieser Runde wird nicht verwendet.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) wait until you have compared six words and confirmed them.</source>
        <translation>
            <numerusform>%n Standort wartet, bis Sie sechs Wörter verglichen und ihn bestätigt haben.</numerusform>
            <numerusform>%n Standorte warten, bis Sie sechs Wörter verglichen und sie bestätigt haben.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n specialties</source>
        <translation>
            <numerusform>%n Fachgebiet</numerusform>
            <numerusform>%n Fachgebiete</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thing(s) must be put right.</source>
        <translation>
            <numerusform>%n Punkt muss in Ordnung gebracht werden.</numerusform>
            <numerusform>%n Punkte müssen in Ordnung gebracht werden.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thread(s)</source>
        <translation>
            <numerusform>%n Thread</numerusform>
            <numerusform>%n Threads</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n token(s)</source>
        <translation>
            <numerusform>%n Token</numerusform>
            <numerusform>%n Tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n type(s)</source>
        <translation>
            <numerusform>%n Typ</numerusform>
            <numerusform>%n Typen</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n type(s) mapped.</source>
        <translation>
            <numerusform>%n Typ zugeordnet.</numerusform>
            <numerusform>%n Typen zugeordnet.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait</source>
        <translation>
            <numerusform>%n wartet</numerusform>
            <numerusform>%n warten</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait for approval</source>
        <translation>
            <numerusform>%n wartet auf die Freigabe</numerusform>
            <numerusform>%n warten auf die Freigabe</numerusform>
        </translation>
    </message>
    <message>
        <source>*alone*: each site trains by itself, and is scored in the same way</source>
        <translation>*alone* (allein): Jeder Standort trainiert für sich und wird auf dieselbe Weise bewertet</translation>
    </message>
    <message>
        <source>*base*: the model before any training</source>
        <translation>*base* (Basis): das Modell vor jedem Training</translation>
    </message>
    <message>
        <source>*centralised*: one training on the notes of all sites in one place, which no federation may do</source>
        <translation>*centralised* (zentral): ein einziges Training mit den Texten aller Standorte an einem Ort, was keine Föderation darf</translation>
    </message>
    <message>
        <source>*encoder*: token classification instead of generated text ({model}). Its loss is of tags and cannot be compared. Of FedAvg all trained weights travel, in 32 bits.</source>
        <translation>*Encoder*: Klassifikation der Tokens statt erzeugtem Text ({model}). Sein Verlust bezieht sich auf Tags und ist nicht vergleichbar. Bei FedAvg werden alle trainierten Gewichte übertragen, in 32 Bit.</translation>
    </message>
    <message>
        <source>, {share} of the full model</source>
        <translation>, {share} des ganzen Modells</translation>
    </message>
    <message>
        <source>1 day</source>
        <translation>1 Tag</translation>
    </message>
    <message>
        <source>30 days</source>
        <translation>30 Tage</translation>
    </message>
    <message>
        <source>7 days</source>
        <translation>7 Tage</translation>
    </message>
    <message>
        <source>95 % interval</source>
        <translation>95-%-Intervall</translation>
    </message>
    <message>
        <source>A decision waits for me</source>
        <translation>Eine Entscheidung wartet auf mich</translation>
    </message>
    <message>
        <source>A decision waits for you</source>
        <translation>Eine Entscheidung wartet auf Sie</translation>
    </message>
    <message>
        <source>A decision waits for you, and time runs out</source>
        <translation>Eine Entscheidung wartet auf Sie, und die Zeit wird knapp</translation>
    </message>
    <message>
        <source>A higher one can learn more, and takes longer to send.</source>
        <translation>Ein höherer kann mehr lernen, und das Senden dauert länger.</translation>
    </message>
    <message>
        <source>A long passage of your notes came out word for word that did not before this round.</source>
        <translation>Eine lange Passage aus Ihren Texten wurde wörtlich ausgegeben, was vor dieser Runde nicht geschah.</translation>
    </message>
    <message>
        <source>A model is being fitted to the notes; the note is read when that is done.</source>
        <translation>Ein Modell wird gerade an die Texte angepasst; danach wird der Text gelesen.</translation>
    </message>
    <message numerus="yes">
        <source>A model of {amount} with %n layer(s) to adapt.</source>
        <translation>
            <numerusform>Ein Modell von {amount} mit %n anpassbaren Schicht.</numerusform>
            <numerusform>Ein Modell von {amount} mit %n anpassbaren Schichten.</numerusform>
        </translation>
    </message>
    <message>
        <source>A name or an address without a port, such as federation.example.org or 10.0.0.12.</source>
        <translation>Ein Name oder eine Adresse ohne Port, etwa federation.example.org oder 10.0.0.12.</translation>
    </message>
    <message>
        <source>A number above 0, up to {most}.</source>
        <translation>Eine Zahl über 0, höchstens {most}.</translation>
    </message>
    <message>
        <source>A number of hours, such as 4, or 0.5 for half an hour.</source>
        <translation>Eine Anzahl Stunden, etwa 4, oder 0,5 für eine halbe Stunde.</translation>
    </message>
    <message>
        <source>A number, such as 1, or 0.5 for half of the notes.</source>
        <translation>Eine Zahl, etwa 1, oder 0,5 für die Hälfte der Notizen.</translation>
    </message>
    <message>
        <source>A passage of your notes came out word for word that did not before this round.</source>
        <translation>Eine Passage aus Ihren Texten wurde wörtlich ausgegeben, was vor dieser Runde nicht geschah.</translation>
    </message>
    <message>
        <source>A person at this site</source>
        <translation>Eine Person an diesem Standort</translation>
    </message>
    <message>
        <source>A round closes once all sites have answered, or when it need not wait any longer for the rest.</source>
        <translation>Eine Runde endet, wenn alle Standorte geantwortet haben oder auf die übrigen nicht länger gewartet werden muss.</translation>
    </message>
    <message>
        <source>A round is finished</source>
        <translation>Eine Runde ist abgeschlossen</translation>
    </message>
    <message>
        <source>A round may close with one site alone.</source>
        <translation>Eine Runde kann mit einem einzigen Standort enden.</translation>
    </message>
    <message>
        <source>A round needs updates from at least this many sites.</source>
        <translation>Eine Runde braucht Beiträge von mindestens so vielen Standorten.</translation>
    </message>
    <message>
        <source>A rule that a person set up</source>
        <translation>Eine Regel, die eine Person eingerichtet hat</translation>
    </message>
    <message>
        <source>A second person must approve: ask them to write their name above.</source>
        <translation>Eine zweite Person muss freigeben: Sie soll oben ihren Namen eintragen.</translation>
    </message>
    <message>
        <source>A stricter file applies instead.</source>
        <translation>Stattdessen gilt eine strengere Datei.</translation>
    </message>
    <message>
        <source>A stricter one applies instead.</source>
        <translation>Stattdessen gilt eine strengere.</translation>
    </message>
    <message>
        <source>A summary in the model&apos;s words.</source>
        <translation>Eine Zusammenfassung in den Worten des Modells.</translation>
    </message>
    <message>
        <source>A whole number from {least} to {most:,}.</source>
        <translation>Eine ganze Zahl von {least} bis {most:,}.</translation>
    </message>
    <message>
        <source>About</source>
        <translation>Betrifft</translation>
    </message>
    <message>
        <source>About and licences</source>
        <translation>Über das Programm und Lizenzen</translation>
    </message>
    <message>
        <source>Above {little} it protects little.</source>
        <translation>Über {little} schützt es wenig.</translation>
    </message>
    <message>
        <source>Account of the computer</source>
        <translation>Konto auf diesem Rechner</translation>
    </message>
    <message>
        <source>Act without the right to it refused</source>
        <translation>Handlung ohne Berechtigung abgelehnt</translation>
    </message>
    <message>
        <source>Acting as</source>
        <translation>Handelt als</translation>
    </message>
    <message>
        <source>Adapter</source>
        <translation>Adapter</translation>
    </message>
    <message>
        <source>Adapter checked</source>
        <translation>Adapter geprüft</translation>
    </message>
    <message>
        <source>Adapter for round {round}</source>
        <translation>Adapter für Runde {round}</translation>
    </message>
    <message>
        <source>Adapter published</source>
        <translation>Adapter veröffentlicht</translation>
    </message>
    <message>
        <source>Adapter to begin with</source>
        <translation>Adapter, mit dem begonnen wird</translation>
    </message>
    <message>
        <source>Adapter {name}</source>
        <translation>Adapter {name}</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>Adresse</translation>
    </message>
    <message>
        <source>Address of this computer</source>
        <translation>Adresse dieses Rechners</translation>
    </message>
    <message>
        <source>After that it can no longer be taken back.</source>
        <translation>Danach lässt sich die Freigabe nicht mehr zurücknehmen.</translation>
    </message>
    <message>
        <source>After that, an adapter that nobody has decided on expires.</source>
        <translation>Danach verfällt ein Adapter, über den niemand entschieden hat.</translation>
    </message>
    <message>
        <source>Against</source>
        <translation>Verglichen mit</translation>
    </message>
    <message>
        <source>Against last round</source>
        <translation>Gegenüber der letzten Runde</translation>
    </message>
    <message numerus="yes">
        <source>All %n round(s) are done</source>
        <translation>
            <numerusform>%n Runde ist abgeschlossen</numerusform>
            <numerusform>Alle %n Runden sind abgeschlossen</numerusform>
        </translation>
    </message>
    <message>
        <source>All but one</source>
        <translation>Alle bis auf einen</translation>
    </message>
    <message>
        <source>All rounds are done</source>
        <translation>Alle Runden sind abgeschlossen</translation>
    </message>
    <message>
        <source>All sites</source>
        <translation>Alle Standorte</translation>
    </message>
    <message>
        <source>All tasks</source>
        <translation>Alle Aufgaben</translation>
    </message>
    <message>
        <source>All types</source>
        <translation>Alle Typen</translation>
    </message>
    <message>
        <source>All types F1</source>
        <translation>F1 über alle Typen</translation>
    </message>
    <message>
        <source>All {all:,} marked entities count.</source>
        <translation>Alle {all:,} markierten Entitäten zählen.</translation>
    </message>
    <message>
        <source>Also words of your own, separated by commas.</source>
        <translation>Auch eigene Wörter, durch Kommas getrennt.</translation>
    </message>
    <message>
        <source>An adapter of rank {rank}. The first round goes on from it.</source>
        <translation>Ein Adapter mit Rang {rank}. Die erste Runde geht von ihm aus.</translation>
    </message>
    <message>
        <source>An address on this computer, where something answers.</source>
        <translation>Eine Adresse auf diesem Rechner, und dort antwortet etwas.</translation>
    </message>
    <message>
        <source>An address on this computer.</source>
        <translation>Eine Adresse auf diesem Rechner.</translation>
    </message>
    <message>
        <source>An answer was longer than allowed and was cut off: some may be missing.</source>
        <translation>Eine Antwort war länger als erlaubt und wurde abgeschnitten: Es kann etwas fehlen.</translation>
    </message>
    <message>
        <source>An update has at most {most} bytes.</source>
        <translation>Ein Beitrag hat höchstens {most} Bytes.</translation>
    </message>
    <message numerus="yes">
        <source>And %n more row(s).</source>
        <translation>
            <numerusform>Und %n weitere Zeile.</numerusform>
            <numerusform>Und %n weitere Zeilen.</numerusform>
        </translation>
    </message>
    <message>
        <source>Annotations that are not read ({what}): {count}.</source>
        <translation>Annotationen, die nicht gelesen werden ({what}): {count}.</translation>
    </message>
    <message>
        <source>Appearance</source>
        <translation>Darstellung</translation>
    </message>
    <message>
        <source>Approval</source>
        <translation>Freigabe</translation>
    </message>
    <message>
        <source>Approval of an update</source>
        <translation>Freigabe eines Beitrags</translation>
    </message>
    <message>
        <source>Approval taken back</source>
        <translation>Freigabe zurückgenommen</translation>
    </message>
    <message>
        <source>Approvals</source>
        <translation>Freigaben</translation>
    </message>
    <message>
        <source>Approve</source>
        <translation>Freigeben</translation>
    </message>
    <message>
        <source>Approved</source>
        <translation>Freigegeben</translation>
    </message>
    <message>
        <source>Approved, waiting for the coordinator</source>
        <translation>Freigegeben, wartet auf den Koordinator</translation>
    </message>
    <message>
        <source>As agreed for the pilot</source>
        <translation>Wie für den Pilotbetrieb vereinbart</translation>
    </message>
    <message>
        <source>As good as {earlier} after as many rounds ({rounds}): {now} of 100 found correctly</source>
        <translation>So gut wie {earlier} nach ebenso vielen Runden ({rounds}): {now} von 100 richtig gefunden</translation>
    </message>
    <message>
        <source>Asked for again</source>
        <translation>Erneut gefragt</translation>
    </message>
    <message>
        <source>Asking</source>
        <translation>Frage läuft</translation>
    </message>
    <message>
        <source>Asking the model about what was found.</source>
        <translation>Das Modell wird zu dem gefragt, was gefunden wurde.</translation>
    </message>
    <message>
        <source>At most 80 letters.</source>
        <translation>Höchstens 80 Zeichen.</translation>
    </message>
    <message>
        <source>Audit record of {owner}</source>
        <translation>Audit-Protokoll von {owner}</translation>
    </message>
    <message>
        <source>Backup made</source>
        <translation>Sicherung erstellt</translation>
    </message>
    <message>
        <source>Base model</source>
        <translation>Basismodell</translation>
    </message>
    <message>
        <source>Before the federation</source>
        <translation>Vor der Föderation</translation>
    </message>
    <message>
        <source>Begin the round</source>
        <translation>Runde beginnen</translation>
    </message>
    <message>
        <source>Begin while a model is being fitted?</source>
        <translation>Beginnen, während ein Modell angepasst wird?</translation>
    </message>
    <message>
        <source>Begin without the sites that are missing?</source>
        <translation>Ohne die fehlenden Standorte beginnen?</translation>
    </message>
    <message>
        <source>Better on {notes}, fairly sure</source>
        <translation>Besser auf {notes}, ziemlich sicher</translation>
    </message>
    <message>
        <source>Better than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then</source>
        <translation>Besser als {earlier} nach ebenso vielen Runden ({rounds}): {now} von 100 richtig gefunden, damals {then}</translation>
    </message>
    <message>
        <source>Bound to the entry before</source>
        <translation>An den vorigen Eintrag gebunden</translation>
    </message>
    <message>
        <source>Call them at a number that you already have, not one from an e-mail. Their page Rounds shows six words; read these out to each other:</source>
        <translation>Rufen Sie dort unter einer Nummer an, die Sie schon haben, nicht unter einer aus einer E-Mail. Dort zeigt die Seite „Runden“ sechs Wörter; lesen Sie sie einander vor:</translation>
    </message>
    <message>
        <source>Can join until</source>
        <translation>Kann beitreten bis</translation>
    </message>
    <message>
        <source>Candidates from the official ICD-10-CM table, best first. The bar compares each with the best.</source>
        <translation>Kandidaten aus der amtlichen ICD-10-CM-Tabelle, der beste zuerst. Der Balken vergleicht sie mit dem besten.</translation>
    </message>
    <message>
        <source>Category in first 10</source>
        <translation>Kategorie unter ersten 10</translation>
    </message>
    <message>
        <source>Certificate</source>
        <translation>Zertifikat</translation>
    </message>
    <message>
        <source>Certificate made</source>
        <translation>Zertifikat erstellt</translation>
    </message>
    <message>
        <source>Change and try again</source>
        <translation>Ändern und erneut versuchen</translation>
    </message>
    <message>
        <source>Change how to join</source>
        <translation>Angaben zum Beitritt ändern</translation>
    </message>
    <message>
        <source>Change of the model</source>
        <translation>Änderung des Modells</translation>
    </message>
    <message>
        <source>Changed</source>
        <translation>Geändert</translation>
    </message>
    <message>
        <source>Characters per note: half have up to / nine in ten up to</source>
        <translation>Zeichen je Text, Hälfte bis / neun von zehn bis</translation>
    </message>
    <message>
        <source>Checking…</source>
        <translation>Wird geprüft…</translation>
    </message>
    <message>
        <source>Choose at least one.</source>
        <translation>Wählen Sie mindestens eine aus.</translation>
    </message>
    <message>
        <source>Choose one above.</source>
        <translation>Wählen Sie oben eine Möglichkeit.</translation>
    </message>
    <message>
        <source>Choose the folder to see what is in it and what needs a look. Notes are only read; nothing is copied.</source>
        <translation>Wählen Sie den Ordner, um zu sehen, was darin ist und was Sie ansehen sollten. Die Texte werden nur gelesen; nichts wird kopiert.</translation>
    </message>
    <message>
        <source>Chosen at random in each round. Leave it empty to ask all.</source>
        <translation>In jeder Runde ausgelost. Leer lassen, um alle zu fragen.</translation>
    </message>
    <message>
        <source>Clock</source>
        <translation>Uhr</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Close before it is sent?</source>
        <translation>Vor dem Senden schließen?</translation>
    </message>
    <message>
        <source>Close round {round} now?</source>
        <translation>Runde {round} jetzt beenden?</translation>
    </message>
    <message>
        <source>Close the demonstration?</source>
        <translation>Die Demo schließen?</translation>
    </message>
    <message>
        <source>Close the program</source>
        <translation>Programm schließen</translation>
    </message>
    <message>
        <source>Close the round</source>
        <translation>Runde beenden</translation>
    </message>
    <message>
        <source>Close while a model is being fitted?</source>
        <translation>Schließen, während ein Modell angepasst wird?</translation>
    </message>
    <message>
        <source>Close while training?</source>
        <translation>Während des Trainings schließen?</translation>
    </message>
    <message>
        <source>Close while your decision is awaited?</source>
        <translation>Schließen, obwohl auf Ihre Entscheidung gewartet wird?</translation>
    </message>
    <message>
        <source>Closing</source>
        <translation>Wird geschlossen</translation>
    </message>
    <message>
        <source>Code in the first 10</source>
        <translation>Code unter den ersten 10</translation>
    </message>
    <message>
        <source>Codes / different codes</source>
        <translation>Codes / verschiedene Codes</translation>
    </message>
    <message>
        <source>Codes F1</source>
        <translation>Codes F1</translation>
    </message>
    <message>
        <source>Codes near the top</source>
        <translation>Codes weit oben</translation>
    </message>
    <message>
        <source>Combine</source>
        <translation>Zusammenführen</translation>
    </message>
    <message>
        <source>Combined drift</source>
        <translation>Gesamtdrift</translation>
    </message>
    <message numerus="yes">
        <source>Combined model on notes of %n site(s) that sent, since round {round}</source>
        <translation>
            <numerusform>Zusammengeführtes Modell auf Texten von %n Standort, der gesendet hat, seit Runde {round}</numerusform>
            <numerusform>Zusammengeführtes Modell auf Texten von %n Standorten, die gesendet haben, seit Runde {round}</numerusform>
        </translation>
    </message>
    <message>
        <source>Combining</source>
        <translation>Wird zusammengeführt</translation>
    </message>
    <message>
        <source>Compare it with the coordinator&apos;s record now and then: only that shows whether its end was cut off.</source>
        <translation>Vergleichen Sie es ab und zu mit dem Protokoll des Koordinators: Nur so zeigt sich, ob sein Ende abgeschnitten wurde.</translation>
    </message>
    <message>
        <source>Compare six words with {site}</source>
        <translation>Sechs Wörter mit {site} vergleichen</translation>
    </message>
    <message>
        <source>Compare with an earlier federation</source>
        <translation>Mit einer früheren Föderation vergleichen</translation>
    </message>
    <message>
        <source>Comparing on your validation notes…</source>
        <translation>Vergleich auf Ihren Validierungstexten…</translation>
    </message>
    <message>
        <source>Confirmation</source>
        <translation>Bestätigung</translation>
    </message>
    <message>
        <source>Connected</source>
        <translation>Verbunden</translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation>Verbindung wird aufgebaut</translation>
    </message>
    <message>
        <source>Connecting again.</source>
        <translation>Verbindung wird erneut aufgebaut.</translation>
    </message>
    <message>
        <source>Connecting to the coordinator at {address}.</source>
        <translation>Verbindung zum Koordinator unter {address} wird aufgebaut.</translation>
    </message>
    <message>
        <source>Connecting to the coordinator…</source>
        <translation>Verbindung zum Koordinator wird aufgebaut…</translation>
    </message>
    <message>
        <source>Connection</source>
        <translation>Verbindung</translation>
    </message>
    <message>
        <source>Connections made</source>
        <translation>Aufgebaute Verbindungen</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <source>Counted</source>
        <translation>Gezählt</translation>
    </message>
    <message>
        <source>Counted by note, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta}).</source>
        <translation>Nach Texten gezählt: Mit diesem Beitrag ist Epsilon {spent} von {total} verbraucht, {left} bleibt übrig (Delta {delta}).</translation>
    </message>
    <message>
        <source>Counted by patient, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta}).</source>
        <translation>Nach Patienten gezählt: Mit diesem Beitrag ist Epsilon {spent} von {total} verbraucht, {left} bleibt übrig (Delta {delta}).</translation>
    </message>
    <message>
        <source>Counts and a loss over all these notes together. No adapter leaves.</source>
        <translation>Anzahlen und ein Verlust über alle diese Texte zusammen. Kein Adapter geht hinaus.</translation>
    </message>
    <message>
        <source>Counts of your notes</source>
        <translation>Anzahlen aus Ihren Texten</translation>
    </message>
    <message>
        <source>Deadline</source>
        <translation>Frist</translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation>Fristen</translation>
    </message>
    <message>
        <source>Decided by</source>
        <translation>Entschieden von</translation>
    </message>
    <message>
        <source>Decided on (sha256)</source>
        <translation>Entschieden über (sha256)</translation>
    </message>
    <message>
        <source>Decision</source>
        <translation>Entscheidung</translation>
    </message>
    <message>
        <source>Decision asked for again</source>
        <translation>Entscheidung erneut erbeten</translation>
    </message>
    <message>
        <source>Decision to keep the update</source>
        <translation>Entscheidung, den Beitrag zu behalten</translation>
    </message>
    <message>
        <source>Decisions</source>
        <translation>Entscheidungen</translation>
    </message>
    <message>
        <source>Details: {error}</source>
        <translation>Einzelheiten: {error}</translation>
    </message>
    <message>
        <source>Did not answer in time</source>
        <translation>Hat nicht rechtzeitig geantwortet</translation>
    </message>
    <message>
        <source>Difference</source>
        <translation>Unterschied</translation>
    </message>
    <message>
        <source>Disk</source>
        <translation>Festplatte</translation>
    </message>
    <message>
        <source>Dismiss</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Erledigt</translation>
    </message>
    <message>
        <source>Download</source>
        <translation>Herunterladen</translation>
    </message>
    <message>
        <source>Downloading</source>
        <translation>Wird heruntergeladen</translation>
    </message>
    <message>
        <source>Drift</source>
        <translation>Drift</translation>
    </message>
    <message>
        <source>Drift is computed in this project&apos;s own way.</source>
        <translation>Die Drift wird auf eine projekteigene Weise berechnet.</translation>
    </message>
    <message>
        <source>Drift: {values}</source>
        <translation>Drift: {values}</translation>
    </message>
    <message>
        <source>Duration</source>
        <translation>Dauer</translation>
    </message>
    <message>
        <source>Each method is compared with the best of the other federated ones.</source>
        <translation>Jede Methode wird mit der besten der anderen föderierten verglichen.</translation>
    </message>
    <message>
        <source>Each note</source>
        <translation>Jede Notiz</translation>
    </message>
    <message>
        <source>Each patient</source>
        <translation>Jeden Patienten</translation>
    </message>
    <message>
        <source>Each site reports how many entities of each type its notes have.</source>
        <translation>Jeder Standort meldet, wie viele Entitäten jedes Typs seine Texte haben.</translation>
    </message>
    <message>
        <source>Each site reports how many notes of each specialty it has.</source>
        <translation>Jeder Standort meldet, wie viele Texte jedes Fachgebiets er hat.</translation>
    </message>
    <message>
        <source>Encryption</source>
        <translation>Verschlüsselung</translation>
    </message>
    <message>
        <source>End and publish</source>
        <translation>Beenden und veröffentlichen</translation>
    </message>
    <message>
        <source>End it</source>
        <translation>Beenden</translation>
    </message>
    <message>
        <source>End of the log</source>
        <translation>Ende des Logs</translation>
    </message>
    <message>
        <source>End the demonstration?</source>
        <translation>Die Demo beenden?</translation>
    </message>
    <message>
        <source>End the federation with the adapter of round {round}?</source>
        <translation>Die Föderation mit dem Adapter der Runde {round} beenden?</translation>
    </message>
    <message>
        <source>Ends</source>
        <translation>Endet</translation>
    </message>
    <message>
        <source>Enter never sends. Press the space bar, or click.</source>
        <translation>Die Eingabetaste sendet nie. Drücken Sie die Leertaste oder klicken Sie.</translation>
    </message>
    <message>
        <source>Entities</source>
        <translation>Entitäten</translation>
    </message>
    <message>
        <source>Entities F1</source>
        <translation>Entitäten F1</translation>
    </message>
    <message>
        <source>Entities by type</source>
        <translation>Entitäten nach Typ</translation>
    </message>
    <message>
        <source>Entities in training notes by type</source>
        <translation>Entitäten in Trainingstexten nach Typ</translation>
    </message>
    <message>
        <source>Entry</source>
        <translation>Eintrag</translation>
    </message>
    <message>
        <source>Evaluating…</source>
        <translation>Wird ausgewertet…</translation>
    </message>
    <message>
        <source>Every number that leaves</source>
        <translation>Jede Zahl, die hinausgeht</translation>
    </message>
    <message>
        <source>Every page can be skipped, and everything can be done later. The program works without a network.</source>
        <translation>Jede Seite lässt sich überspringen, und alles lässt sich später nachholen. Das Programm funktioniert ohne Netz.</translation>
    </message>
    <message>
        <source>Every site needs the same files.</source>
        <translation>Jeder Standort braucht dieselben Dateien.</translation>
    </message>
    <message>
        <source>Every site sees it.</source>
        <translation>Jeder Standort sieht ihn.</translation>
    </message>
    <message>
        <source>Everything is fine; there is nothing to do here. The round continues with other sites: not every site is asked in each round, and a site that joins late waits for the next one.</source>
        <translation>Alles ist in Ordnung; hier ist nichts zu tun. Die Runde geht mit anderen Standorten weiter: Nicht jeder Standort wird in jeder Runde gefragt, und einer, der spät beitritt, wartet auf die nächste.</translation>
    </message>
    <message>
        <source>Everything that the federation needs is kept there.</source>
        <translation>Er enthält alles, was die Föderation braucht.</translation>
    </message>
    <message>
        <source>Expires when the round closes</source>
        <translation>Läuft ab, wenn die Runde endet</translation>
    </message>
    <message>
        <source>Expires {time}, {left} left</source>
        <translation>Läuft ab: {time}, noch {left}</translation>
    </message>
    <message>
        <source>Exported to a file</source>
        <translation>In eine Datei exportiert</translation>
    </message>
    <message>
        <source>F1</source>
        <translation>F1</translation>
    </message>
    <message>
        <source>Factor {factors} of your adapter: no byte of it is in this update.</source>
        <translation>Faktor {factors} Ihres Adapters: Kein Byte davon ist in diesem Beitrag.</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Fehlgeschlagen</translation>
    </message>
    <message>
        <source>Federation</source>
        <translation>Föderation</translation>
    </message>
    <message>
        <source>Federation finished</source>
        <translation>Föderation abgeschlossen</translation>
    </message>
    <message>
        <source>Federation joined</source>
        <translation>Föderation beigetreten</translation>
    </message>
    <message>
        <source>Federation left</source>
        <translation>Föderation verlassen</translation>
    </message>
    <message>
        <source>Federation paused</source>
        <translation>Föderation pausiert</translation>
    </message>
    <message>
        <source>Federation resumed</source>
        <translation>Föderation fortgesetzt</translation>
    </message>
    <message>
        <source>Federation, final</source>
        <translation>Föderation, endgültig</translation>
    </message>
    <message>
        <source>Federation, {when}</source>
        <translation>Föderation, {when}</translation>
    </message>
    <message>
        <source>Fetching the adapter</source>
        <translation>Der Adapter wird geholt</translation>
    </message>
    <message>
        <source>Fewer than the sites that a round needs: no round could close.</source>
        <translation>Weniger, als eine Runde braucht: Keine Runde könnte enden.</translation>
    </message>
    <message>
        <source>Files of older updates are deleted, combined adapters never. Leave it empty to keep all.</source>
        <translation>Dateien älterer Beiträge werden gelöscht, zusammengeführte Adapter nie. Leer lassen, um alle zu behalten.</translation>
    </message>
    <message>
        <source>Files that are not read: {files}.</source>
        <translation>Dateien, die nicht gelesen werden: {files}.</translation>
    </message>
    <message numerus="yes">
        <source>Final in %n second(s)</source>
        <translation>
            <numerusform>Endgültig in %n Sekunde</numerusform>
            <numerusform>Endgültig in %n Sekunden</numerusform>
        </translation>
    </message>
    <message>
        <source>Final now</source>
        <translation>Jetzt endgültig</translation>
    </message>
    <message>
        <source>Final scores</source>
        <translation>Endgültige Scores</translation>
    </message>
    <message>
        <source>Finds {hits:.0%} of them at 1% false alarms (guessing: 1%).</source>
        <translation>Findet {hits:.0%} davon bei 1&#xa0;% Fehlalarmen (geraten: 1&#xa0;%).</translation>
    </message>
    <message>
        <source>Fingerprint of its key</source>
        <translation>Fingerabdruck seines Schlüssels</translation>
    </message>
    <message>
        <source>Finish</source>
        <translation>Abschließen</translation>
    </message>
    <message>
        <source>Finished</source>
        <translation>Abgeschlossen</translation>
    </message>
    <message>
        <source>Finishing and saving the current step. Nothing is lost.</source>
        <translation>Der laufende Schritt wird beendet und gespeichert. Nichts geht verloren.</translation>
    </message>
    <message>
        <source>First approval</source>
        <translation>Erste Freigabe</translation>
    </message>
    <message>
        <source>First of two approvals</source>
        <translation>Erste von zwei Freigaben</translation>
    </message>
    <message>
        <source>Fitted to our notes</source>
        <translation>An unsere Texte angepasst</translation>
    </message>
    <message>
        <source>Fitted to {site}</source>
        <translation>Angepasst an {site}</translation>
    </message>
    <message>
        <source>Fitted: it is surer of the right answers, but finds less: {after} of 100 on your validation notes, {before} with the common model.</source>
        <translation>Angepasst: Es ist sich der richtigen Antworten sicherer, findet aber weniger: {after} von 100 auf Ihren Validierungstexten, {before} mit dem gemeinsamen Modell.</translation>
    </message>
    <message>
        <source>Fitted: it is surer of the right answers, but finds no more: {after} of 100 on your validation notes.</source>
        <translation>Angepasst: Es ist sich der richtigen Antworten sicherer, findet aber nicht mehr: {after} von 100 auf Ihren Validierungstexten.</translation>
    </message>
    <message>
        <source>Fitted: on your validation notes it is surer of the right answers than the common model.</source>
        <translation>Angepasst: Auf Ihren Validierungstexten ist es sich der richtigen Antworten sicherer als das gemeinsame Modell.</translation>
    </message>
    <message>
        <source>Fitted: {after} of 100 found correctly on your validation notes, {before} with the common model.</source>
        <translation>Angepasst: {after} von 100 auf Ihren Validierungstexten richtig gefunden, {before} mit dem gemeinsamen Modell.</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>Ordner</translation>
    </message>
    <message>
        <source>Folder of the federation</source>
        <translation>Ordner der Föderation</translation>
    </message>
    <message>
        <source>For differential privacy: the smaller, the better protected. Leave it empty to do without.</source>
        <translation>Für Differential Privacy: je kleiner, desto besser geschützt. Leer lassen, um darauf zu verzichten.</translation>
    </message>
    <message>
        <source>For every update: {does}.</source>
        <translation>Für jeden Beitrag: {does}.</translation>
    </message>
    <message>
        <source>For example the final one of an earlier federation. Leave it empty to start from scratch.</source>
        <translation>Etwa der endgültige einer früheren Föderation. Leer lassen, um von vorn zu beginnen.</translation>
    </message>
    <message>
        <source>For some tasks it finds nothing on {notes}, after training as well: {tasks}.</source>
        <translation>Bei einigen Aufgaben findet er auf {notes} nichts, auch nach dem Training: {tasks}.</translation>
    </message>
    <message>
        <source>For specialists</source>
        <translation>Für Fachleute</translation>
    </message>
    <message>
        <source>Form</source>
        <translation>Form</translation>
    </message>
    <message>
        <source>Found correctly, of 100</source>
        <translation>Richtig gefunden, von 100</translation>
    </message>
    <message>
        <source>Found correctly, of 100, on {notes}.</source>
        <translation>Richtig gefunden, von 100, auf {notes}.</translation>
    </message>
    <message>
        <source>Found one of your own, let this computer serve it, and invite other hospitals.</source>
        <translation>Gründen Sie eine eigene, lassen Sie sie auf diesem Rechner laufen und laden Sie andere Krankenhäuser ein.</translation>
    </message>
    <message>
        <source>Friday</source>
        <translation>Freitag</translation>
    </message>
    <message>
        <source>From the update alone</source>
        <translation>Allein aus dem Beitrag</translation>
    </message>
    <message>
        <source>From types.toml beside the notes:</source>
        <translation>Aus types.toml neben den Texten:</translation>
    </message>
    <message>
        <source>From your hospital&apos;s certificate authority, as a PEM file. Left empty, the program makes its own.</source>
        <translation>Von der Zertifizierungsstelle Ihres Krankenhauses, als PEM-Datei. Bleibt es leer, erstellt das Programm ein eigenes.</translation>
    </message>
    <message>
        <source>GPU</source>
        <translation>GPU</translation>
    </message>
    <message>
        <source>GPU {share}, {memory}</source>
        <translation>GPU {share}, {memory}</translation>
    </message>
    <message>
        <source>Go on serving</source>
        <translation>Weiterlaufen lassen</translation>
    </message>
    <message>
        <source>Go on serving {federation}?</source>
        <translation>{federation} weiterlaufen lassen?</translation>
    </message>
    <message>
        <source>Go on serving, and close</source>
        <translation>Weiterlaufen lassen und schließen</translation>
    </message>
    <message>
        <source>Go on waiting</source>
        <translation>Weiter warten</translation>
    </message>
    <message>
        <source>Go on with the rounds</source>
        <translation>Mit den Runden weitermachen</translation>
    </message>
    <message numerus="yes">
        <source>Half of the change is in %n of {all} layers, most of it in layer {most}.</source>
        <translation>
            <numerusform>Die Hälfte der Änderung liegt in %n von {all} Schichten, am meisten in Schicht {most}.</numerusform>
            <numerusform>Die Hälfte der Änderung liegt in %n von {all} Schichten, am meisten in Schicht {most}.</numerusform>
        </translation>
    </message>
    <message>
        <source>Hardly protected by differential privacy: its epsilon is too large.</source>
        <translation>Durch Differential Privacy kaum geschützt: Das Epsilon ist zu groß.</translation>
    </message>
    <message>
        <source>Has not connected yet</source>
        <translation>War noch nicht da</translation>
    </message>
    <message>
        <source>Held. Nothing of this update has left.</source>
        <translation>Zurückgestellt. Nichts von diesem Beitrag ist hinausgegangen.</translation>
    </message>
    <message>
        <source>Here the example notes of {site} stand for yours.</source>
        <translation>Hier stehen die Beispieltexte von {site} für Ihre.</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Verlauf</translation>
    </message>
    <message>
        <source>Hold decides nothing. Keep leaves it here for this round. Send can be taken back for ten seconds.</source>
        <translation>„Zurückstellen“ entscheidet nichts. „Behalten“ lässt den Beitrag für diese Runde hier. „Senden“ lässt sich zehn Sekunden lang zurücknehmen.</translation>
    </message>
    <message>
        <source>Host</source>
        <comment>who hosts</comment>
        <translation>Betreiber</translation>
    </message>
    <message>
        <source>Host</source>
        <translation>Betreiben</translation>
    </message>
    <message>
        <source>Host a federation</source>
        <translation>Eine Föderation betreiben</translation>
    </message>
    <message>
        <source>Hosting</source>
        <translation>Betrieb</translation>
    </message>
    <message>
        <source>Hosts that this program connected to</source>
        <translation>Rechner, mit denen sich dieses Programm verbunden hat</translation>
    </message>
    <message>
        <source>Hours for each decision</source>
        <translation>Stunden für jede Entscheidung</translation>
    </message>
    <message>
        <source>Hours that a round may take</source>
        <translation>Stunden, die eine Runde dauern darf</translation>
    </message>
    <message>
        <source>How far the adapter has moved is being measured.</source>
        <translation>Es wird gemessen, wie weit sich der Adapter bewegt hat.</translation>
    </message>
    <message>
        <source>How it differs</source>
        <translation>Wie er sich unterscheidet</translation>
    </message>
    <message>
        <source>How likely the model finds each answer compared with the others. It does not say how sure you can be.</source>
        <translation>Für wie wahrscheinlich das Modell jede Antwort im Vergleich zu den anderen hält. Es sagt nicht, wie sicher Sie sein können.</translation>
    </message>
    <message>
        <source>How long</source>
        <translation>Dauer</translation>
    </message>
    <message>
        <source>How often a site goes through its notes in a round.</source>
        <translation>Wie oft ein Standort in einer Runde seine Notizen durchgeht.</translation>
    </message>
    <message>
        <source>How this site&apos;s notes compare with the federation&apos;s is known after the next round.</source>
        <translation>Wie sich die Texte dieses Standorts zu denen der Föderation verhalten, ist nach der nächsten Runde bekannt.</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Wie gut er arbeitet</translation>
    </message>
    <message>
        <source>ICD-10 codes</source>
        <translation>ICD-10-Codes</translation>
    </message>
    <message>
        <source>ICD-10 codes F1</source>
        <translation>ICD-10-Codes F1</translation>
    </message>
    <message>
        <source>Identity</source>
        <translation>Identität</translation>
    </message>
    <message>
        <source>If it is combining updates, this may take half a minute.</source>
        <translation>Läuft gerade eine Zusammenführung, kann das eine halbe Minute dauern.</translation>
    </message>
    <message>
        <source>If it stops, sites wait for it; nothing is lost.</source>
        <translation>Wenn er anhält, warten die Standorte auf ihn; es geht nichts verloren.</translation>
    </message>
    <message>
        <source>If nobody decides before the round closes, it closes without this site.</source>
        <translation>Wenn vor dem Ende der Runde niemand entscheidet, endet sie ohne diesen Standort.</translation>
    </message>
    <message>
        <source>If the words differ, somebody is intercepting the connection: stop, and tell the host.</source>
        <translation>Weichen die Wörter ab, fängt jemand die Verbindung ab: Hören Sie auf, und sagen Sie es dem Betreiber.</translation>
    </message>
    <message>
        <source>If they differ, somebody is in between, or it is another computer. Then let nobody in.</source>
        <translation>Wenn sie sich unterscheiden, ist jemand dazwischen, oder es ist ein anderer Rechner. Lassen Sie dann niemanden herein.</translation>
    </message>
    <message>
        <source>If your network forwards another port to the one above.</source>
        <translation>Falls Ihr Netz einen anderen Port auf den oben weiterleitet.</translation>
    </message>
    <message>
        <source>Imported from a file</source>
        <translation>Aus einer Datei importiert</translation>
    </message>
    <message>
        <source>In each round, every site trains once and decides once.</source>
        <translation>In jeder trainiert und entscheidet jeder Standort einmal.</translation>
    </message>
    <message>
        <source>In round {n}, on notes kept aside</source>
        <translation>In Runde {n}, auf zurückgehaltenen Texten</translation>
    </message>
    <message>
        <source>In the background</source>
        <translation>Im Hintergrund</translation>
    </message>
    <message>
        <source>In the file: {words}.</source>
        <translation>In der Datei: {words}.</translation>
    </message>
    <message>
        <source>In the notes</source>
        <translation>In den Texten</translation>
    </message>
    <message>
        <source>In this round</source>
        <translation>In dieser Runde</translation>
    </message>
    <message>
        <source>Inferred: {names}. The parts of these papers that could be read contain no formulas; these methods were designed from their descriptions, and no number here can be compared with theirs.</source>
        <translation>Abgeleitet: {names}. Die Teile dieser Arbeiten, die wir lesen konnten, enthalten keine Formeln; diese Methoden wurden nach ihren Beschreibungen entworfen, und keine Zahl hier ist mit ihren Zahlen vergleichbar.</translation>
    </message>
    <message>
        <source>Intended</source>
        <translation>Vorgesehen</translation>
    </message>
    <message>
        <source>Intervals of few seeds are much too narrow: lower and higher are shown only where a paired t-test over seeds finds a difference as well. No difference shown does not prove that there is none.</source>
        <translation>Intervalle aus wenigen Seeds sind viel zu eng: „niedriger“ und „höher“ steht nur dort, wo auch ein gepaarter t-Test über die Seeds einen Unterschied findet. „Kein Unterschied gezeigt“ beweist nicht, dass es keinen gibt.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are hardly known better than others.</source>
        <translation>Erfundene Datensätze, mit denen trainiert wurde, sind kaum besser bekannt als andere.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are known a little.</source>
        <translation>Erfundene Datensätze, mit denen trainiert wurde, sind ein wenig bekannt.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are known: a real one seen as often would be too.</source>
        <translation>Erfundene Datensätze, mit denen trainiert wurde, sind bekannt: Ein echter, der ebenso oft vorkam, wäre es auch.</translation>
    </message>
    <message>
        <source>Invite a site</source>
        <translation>Einen Standort einladen</translation>
    </message>
    <message>
        <source>Invite the sites.</source>
        <translation>Laden Sie die Standorte ein.</translation>
    </message>
    <message>
        <source>Invite {site} anew</source>
        <translation>{site} neu einladen</translation>
    </message>
    <message>
        <source>Invited</source>
        <translation>Eingeladen</translation>
    </message>
    <message>
        <source>It becomes the final one, and no round follows. What sites send in this round is not used.</source>
        <translation>Er wird der endgültige, und es folgt keine Runde. Was Standorte in dieser Runde senden, wird nicht verwendet.</translation>
    </message>
    <message>
        <source>It begins as soon as this computer has time for it.</source>
        <translation>Es beginnt, sobald dieser Rechner Zeit dafür hat.</translation>
    </message>
    <message>
        <source>It can come with another key then: from another computer, or after it lost its folder.</source>
        <translation>Er kann dann mit einem anderen Schlüssel kommen: von einem anderen Rechner, oder nachdem sein Ordner verloren ging.</translation>
    </message>
    <message>
        <source>It can no longer be taken back.</source>
        <translation>Das lässt sich nicht mehr zurücknehmen.</translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator does not answer; sending continues once it does.</source>
        <translation>Das lässt sich nicht mehr zurücknehmen. Der Koordinator antwortet nicht; das Senden geht weiter, sobald er antwortet.</translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator fetches exactly what you approved.</source>
        <translation>Das lässt sich nicht mehr zurücknehmen. Der Koordinator holt genau das ab, was Sie freigegeben haben.</translation>
    </message>
    <message>
        <source>It closes at {time}, or once all have answered.</source>
        <translation>Sie endet um {time}, oder sobald alle geantwortet haben.</translation>
    </message>
    <message>
        <source>It closes once all have answered.</source>
        <translation>Sie endet, sobald alle geantwortet haben.</translation>
    </message>
    <message>
        <source>It counts until {time}.</source>
        <translation>Sie zählt bis {time}.</translation>
    </message>
    <message>
        <source>It does not count in this round.</source>
        <translation>Er zählt in dieser Runde nicht.</translation>
    </message>
    <message>
        <source>It finds nothing on {notes} yet</source>
        <translation>Er findet auf {notes} noch nichts</translation>
    </message>
    <message>
        <source>It finds nothing on {notes}, after training as well: sending it helps nobody.</source>
        <translation>Er findet auf {notes} nichts, auch nach dem Training: Ihn zu senden hilft niemandem.</translation>
    </message>
    <message>
        <source>It finds nothing yet</source>
        <translation>Er findet noch nichts</translation>
    </message>
    <message>
        <source>It finishes at {time} at the latest.</source>
        <translation>Sie ist spätestens um {time} fertig.</translation>
    </message>
    <message>
        <source>It holds a single step, and from a single step published attacks can rebuild whole texts.</source>
        <translation>Er enthält nur einen einzigen Schritt, und aus einem Schritt stellen veröffentlichte Angriffe ganze Texte wieder her.</translation>
    </message>
    <message>
        <source>It is combined from the updates that have come: {count}.</source>
        <translation>Sie wird aus den eingetroffenen Beiträgen zusammengeführt: {count}.</translation>
    </message>
    <message>
        <source>It is for {names}, not for the address above: sites will refuse it.</source>
        <translation>Es gilt für {names}, nicht für die Adresse oben: Standorte werden es ablehnen.</translation>
    </message>
    <message>
        <source>It is right for {share:.0%} of pairs of notes, {low:.0%} to {high:.0%} (guessing: 50%); {trained} notes that were trained on, {other} held out.</source>
        <translation>Er liegt bei {share:.0%} der Textpaare richtig, {low:.0%} bis {high:.0%} (geraten: 50&#xa0;%); {trained} Texte aus dem Training, {other} zurückgehaltene.</translation>
    </message>
    <message>
        <source>It is saved in {folder}.</source>
        <translation>Er ist in {folder} gespeichert.</translation>
    </message>
    <message>
        <source>It is sent once the coordinator is back.</source>
        <translation>Er wird gesendet, sobald der Koordinator wieder da ist.</translation>
    </message>
    <message>
        <source>It is trained on at least {least} notes.</source>
        <translation>Er ist mit mindestens {least} Texten trainiert.</translation>
    </message>
    <message>
        <source>It is trained with differential privacy, and at most epsilon {most} is spent.</source>
        <translation>Er ist mit Differential Privacy trainiert, und höchstens Epsilon {most} wird verbraucht.</translation>
    </message>
    <message>
        <source>It leaves in {left} s.</source>
        <translation>Er geht in {left}&#xa0;s hinaus.</translation>
    </message>
    <message>
        <source>It leaves now.</source>
        <translation>Er geht jetzt hinaus.</translation>
    </message>
    <message>
        <source>It makes you a host of this federation. You need neither a model nor notes for that.</source>
        <translation>Sie macht Sie zu einem Betreiber dieser Föderation. Dafür brauchen Sie weder ein Modell noch Texte.</translation>
    </message>
    <message>
        <source>It starts from the beginning next time. What it has written so far is not kept.</source>
        <translation>Beim nächsten Mal beginnt es von vorn. Was bisher geschrieben wurde, bleibt nicht erhalten.</translation>
    </message>
    <message>
        <source>It starts over.</source>
        <translation>Es beginnt von vorn.</translation>
    </message>
    <message>
        <source>It sums {steps} steps of {batch} passages from {notes} notes at rank {rank}; published attacks rebuild texts from a single step. More steps, more notes and a lower rank make it harder; nothing here proves that it cannot be done.</source>
        <translation>Er summiert {steps} Schritte mit je {batch} Passagen aus {notes} Texten bei Rang {rank}; veröffentlichte Angriffe stellen Texte aus einem einzelnen Schritt wieder her. Mehr Schritte, mehr Texte und ein niedrigerer Rang erschweren das; nichts hier beweist, dass es unmöglich ist.</translation>
    </message>
    <message>
        <source>It was begun but did not finish.</source>
        <translation>Es wurde begonnen und kam nicht zu Ende.</translation>
    </message>
    <message>
        <source>It will be made.</source>
        <translation>Er wird angelegt.</translation>
    </message>
    <message>
        <source>Its answer: {option}</source>
        <translation>Seine Antwort: {option}</translation>
    </message>
    <message>
        <source>Its connection ends, and no round waits for it any more. What it has sent before still counts.</source>
        <translation>Seine Verbindung endet, und keine Runde wartet mehr auf ihn. Was er vorher gesendet hat, zählt weiterhin.</translation>
    </message>
    <message>
        <source>Its curves are drawn in grey behind the present ones, and what it had found after as many rounds.</source>
        <translation>Ihre Kurven stehen grau hinter den jetzigen, und daneben, was sie nach ebenso vielen Runden gefunden hatte.</translation>
    </message>
    <message>
        <source>Its disk is full, or a file is missing there. It continues by itself once that is solved; there is nothing to do here.</source>
        <translation>Dort ist die Festplatte voll, oder eine Datei fehlt. Es geht von selbst weiter, sobald das behoben ist; hier ist nichts zu tun.</translation>
    </message>
    <message>
        <source>Its final adapter is on this computer. Try it on a note, beside the base model.</source>
        <translation>Ihr endgültiger Adapter ist auf diesem Rechner. Probieren Sie ihn an einem Text aus, neben dem Basismodell.</translation>
    </message>
    <message>
        <source>Its final adapter is the one of round {round}.</source>
        <translation>Ihr endgültiger Adapter ist der von Runde {round}.</translation>
    </message>
    <message>
        <source>Its last training was on your notes alone: keep it at your site.</source>
        <translation>Zuletzt hat es allein aus Ihren Texten gelernt: Behalten Sie es an Ihrem Standort.</translation>
    </message>
    <message>
        <source>Its own hash</source>
        <translation>Sein eigener Hash</translation>
    </message>
    <message>
        <source>Its private key, as a PEM file without a password.</source>
        <translation>Sein privater Schlüssel, als PEM-Datei ohne Passwort.</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Beitreten</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Einer Föderation beitreten</translation>
    </message>
    <message>
        <source>Join one with the invitation that its host gave you, or look at a demonstration first.</source>
        <translation>Treten Sie mit der Einladung des Betreibers bei, oder sehen Sie sich zuerst eine Demo an.</translation>
    </message>
    <message>
        <source>Keep it</source>
        <translation>Behalten</translation>
    </message>
    <message>
        <source>Keep taking part</source>
        <translation>Weiter teilnehmen</translation>
    </message>
    <message>
        <source>Keep taking part while the window is closed?</source>
        <translation>Bei geschlossenem Fenster weiter teilnehmen?</translation>
    </message>
    <message>
        <source>Keep the window open</source>
        <translation>Fenster offen lassen</translation>
    </message>
    <message>
        <source>Keep training</source>
        <translation>Weiter trainieren</translation>
    </message>
    <message>
        <source>Keep watching</source>
        <translation>Weiter zusehen</translation>
    </message>
    <message>
        <source>Kept on site</source>
        <translation>Am Standort behalten</translation>
    </message>
    <message>
        <source>Kept on this computer</source>
        <translation>Auf diesem Rechner behalten</translation>
    </message>
    <message>
        <source>Key of the certificate</source>
        <translation>Schlüssel des Zertifikats</translation>
    </message>
    <message>
        <source>Key of the site</source>
        <translation>Schlüssel des Standorts</translation>
    </message>
    <message>
        <source>Keys of rows that are not read: {keys}.</source>
        <translation>Schlüssel von Zeilen, die nicht gelesen werden: {keys}.</translation>
    </message>
    <message>
        <source>Last seen</source>
        <translation>Zuletzt gemeldet</translation>
    </message>
    <message>
        <source>Layer</source>
        <translation>Schicht</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Schicht für Schicht</translation>
    </message>
    <message>
        <source>Learning from your notes…</source>
        <translation>Es lernt aus Ihren Texten…</translation>
    </message>
    <message>
        <source>Learning rate</source>
        <translation>Lernrate</translation>
    </message>
    <message>
        <source>Leave it</source>
        <translation>Lassen</translation>
    </message>
    <message numerus="yes">
        <source>Leaves in %n second(s)</source>
        <translation>
            <numerusform>Geht in %n Sekunde hinaus</numerusform>
            <numerusform>Geht in %n Sekunden hinaus</numerusform>
        </translation>
    </message>
    <message>
        <source>Leaving now</source>
        <translation>Geht jetzt hinaus</translation>
    </message>
    <message>
        <source>Left out, as its annotators decided ({what}).</source>
        <translation>Ausgelassen, wie die Annotierenden entschieden haben ({what}).</translation>
    </message>
    <message>
        <source>Left out, as marked by the annotators</source>
        <translation>Ausgelassen, wie von den Annotierenden markiert</translation>
    </message>
    <message>
        <source>Let it be sent</source>
        <translation>Senden lassen</translation>
    </message>
    <message>
        <source>Let it go on</source>
        <translation>Weiterlaufen lassen</translation>
    </message>
    <message>
        <source>Loading</source>
        <translation>Wird geladen</translation>
    </message>
    <message>
        <source>Longest passage</source>
        <translation>Längste Passage</translation>
    </message>
    <message>
        <source>Look at these twice</source>
        <translation>Genauer ansehen</translation>
    </message>
    <message>
        <source>Look twice: somebody with this adapter might learn something about your notes.</source>
        <translation>Sehen Sie genauer hin: Wer diesen Adapter hat, könnte etwas über Ihre Texte erfahren.</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Verlust</translation>
    </message>
    <message>
        <source>Loss (lower is better)</source>
        <translation>Verlust (niedriger ist besser)</translation>
    </message>
    <message>
        <source>Loss is after the last round, on the validation notes of all sites; lower is better.</source>
        <translation>Der Verlust ist der nach der letzten Runde, auf den Validierungstexten aller Standorte; niedriger ist besser.</translation>
    </message>
    <message>
        <source>Loss on shared notes</source>
        <translation>Verlust auf gemeinsamen Texten</translation>
    </message>
    <message>
        <source>MAP</source>
        <translation>MAP</translation>
    </message>
    <message>
        <source>MB moved</source>
        <translation>Übertragene MB</translation>
    </message>
    <message>
        <source>Mark as reviewed</source>
        <translation>Als durchgesehen vermerken</translation>
    </message>
    <message>
        <source>Masked with</source>
        <translation>Maskiert mit</translation>
    </message>
    <message>
        <source>Mean of tasks</source>
        <translation>Mittel der Aufgaben</translation>
    </message>
    <message>
        <source>Meaning of the signature</source>
        <translation>Bedeutung der Unterschrift</translation>
    </message>
    <message>
        <source>Measure</source>
        <translation>Maß</translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s).</source>
        <translation>
            <numerusform>Gemessen auf %n Validierungstext.</numerusform>
            <numerusform>Gemessen auf %n Validierungstexten.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s): so small a difference may be chance.</source>
        <translation>
            <numerusform>Gemessen auf %n Validierungstext: Ein so kleiner Unterschied kann Zufall sein.</numerusform>
            <numerusform>Gemessen auf %n Validierungstexten: Ein so kleiner Unterschied kann Zufall sein.</numerusform>
        </translation>
    </message>
    <message>
        <source>Measured on {notes} in round {round}.</source>
        <translation>Gemessen auf {notes} in Runde {round}.</translation>
    </message>
    <message>
        <source>Measured on {notes}, which were never used for training.</source>
        <translation>Gemessen auf {notes}, die in keinem Training vorkamen.</translation>
    </message>
    <message>
        <source>Measured on {notes}.</source>
        <translation>Gemessen auf {notes}.</translation>
    </message>
    <message>
        <source>Measuring what has changed</source>
        <translation>Es wird gemessen, was sich geändert hat</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Speicher</translation>
    </message>
    <message>
        <source>Memory, MiB</source>
        <translation>Speicher, MiB</translation>
    </message>
    <message>
        <source>Mentions in several parts: {count}.</source>
        <translation>Nennungen aus mehreren Teilen: {count}.</translation>
    </message>
    <message>
        <source>Mentions inside another: {count}.</source>
        <translation>Nennungen innerhalb einer anderen: {count}.</translation>
    </message>
    <message>
        <source>Mentions marked more than once, taken once: {count} ({what}).</source>
        <translation>Nennungen, die mehrfach markiert sind und einmal gezählt werden: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions of nothing but spaces, left out: {count} ({what}).</source>
        <translation>Nennungen nur aus Leerzeichen, ausgelassen: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions per note: half have up to / nine in ten up to</source>
        <translation>Nennungen je Text, Hälfte bis / neun von zehn bis</translation>
    </message>
    <message>
        <source>Mentions that partly overlap another: {count}.</source>
        <translation>Nennungen, die eine andere teilweise überlappen: {count}.</translation>
    </message>
    <message>
        <source>Mentions with spaces at the ends, which were cut off: {count} ({what}).</source>
        <translation>Nennungen, deren Leerzeichen an den Rändern abgeschnitten wurden: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions with wrong offsets, which were found nearby by their words: {count} ({what}).</source>
        <translation>Nennungen mit falschen Positionen, die anhand ihrer Wörter in der Nähe gefunden wurden: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions without any characters, left out: {count} ({what}).</source>
        <translation>Nennungen ohne ein einziges Zeichen, ausgelassen: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions written in another form than in the text, with letters composed otherwise: {count} ({what}). The text&apos;s own characters are taken.</source>
        <translation>Nennungen, die anders geschrieben sind als im Text, mit anders zusammengesetzten Buchstaben: {count} ({what}). Es gelten die Zeichen des Textes.</translation>
    </message>
    <message>
        <source>Message with a wrong signature refused</source>
        <translation>Nachricht mit falscher Signatur abgelehnt</translation>
    </message>
    <message>
        <source>Method</source>
        <translation>Methode</translation>
    </message>
    <message>
        <source>Missed</source>
        <translation>Verpasst</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>Model drift</source>
        <translation>Modelldrift</translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation>Modellordner</translation>
    </message>
    <message>
        <source>Modifiers</source>
        <translation>Zusatzangaben</translation>
    </message>
    <message>
        <source>Modifiers F1</source>
        <translation>Zusatzangaben F1</translation>
    </message>
    <message>
        <source>Modifiers and relations by type</source>
        <translation>Zusatzangaben und Relationen nach Typ</translation>
    </message>
    <message>
        <source>Modifiers of these</source>
        <translation>Angaben zu diesen</translation>
    </message>
    <message>
        <source>Module</source>
        <translation>Modul</translation>
    </message>
    <message>
        <source>Moment</source>
        <translation>Zeitpunkt</translation>
    </message>
    <message>
        <source>Monday</source>
        <translation>Montag</translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation>Monitor</translation>
    </message>
    <message>
        <source>More than the sites that are expected: no round could close.</source>
        <translation>Mehr, als Standorte erwartet werden: Keine Runde könnte enden.</translation>
    </message>
    <message>
        <source>Most frequent codes</source>
        <translation>Häufigste Codes</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Name</translation>
    </message>
    <message>
        <source>Name of the federation</source>
        <translation>Name der Föderation</translation>
    </message>
    <message>
        <source>New sites</source>
        <translation>Neue Standorte</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>Weiter</translation>
    </message>
    <message>
        <source>Next try in {time}.</source>
        <translation>Nächster Versuch in {time}.</translation>
    </message>
    <message>
        <source>No</source>
        <translation>Nein</translation>
    </message>
    <message>
        <source>No better on {notes}</source>
        <translation>Nicht besser auf {notes}</translation>
    </message>
    <message>
        <source>No code is certain enough.</source>
        <translation>Kein Code ist sicher genug.</translation>
    </message>
    <message>
        <source>No code matches this note.</source>
        <translation>Kein Code kommt diesem Text nahe.</translation>
    </message>
    <message>
        <source>No connection to the coordinator</source>
        <translation>Keine Verbindung zum Koordinator</translation>
    </message>
    <message>
        <source>No decision in time</source>
        <translation>Keine rechtzeitige Entscheidung</translation>
    </message>
    <message>
        <source>No difference beyond chance between {adapter} and the base model.</source>
        <translation>Kein Unterschied über den Zufall hinaus zwischen {adapter} und dem Basismodell.</translation>
    </message>
    <message>
        <source>No entities found before you stopped it.</source>
        <translation>Keine Entitäten gefunden, bevor Sie angehalten haben.</translation>
    </message>
    <message>
        <source>No entities found so far.</source>
        <translation>Bisher keine Entitäten gefunden.</translation>
    </message>
    <message>
        <source>No entities found.</source>
        <translation>Keine Entitäten gefunden.</translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation>Noch keine Föderation</translation>
    </message>
    <message>
        <source>No long passage of your notes came out word for word because of this round.</source>
        <translation>Keine lange Passage aus Ihren Texten wurde durch diese Runde wörtlich ausgegeben.</translation>
    </message>
    <message>
        <source>No longer look after it</source>
        <translation>Nicht mehr betreuen</translation>
    </message>
    <message>
        <source>No longer look after {federation}?</source>
        <translation>{federation} nicht mehr betreuen?</translation>
    </message>
    <message>
        <source>No modifiers found.</source>
        <translation>Keine Zusatzangaben gefunden.</translation>
    </message>
    <message>
        <source>No modifiers: they are looked for around entities, and none was found.</source>
        <translation>Keine Zusatzangaben: Sie werden rund um Entitäten gesucht, und es wurde keine gefunden.</translation>
    </message>
    <message>
        <source>No native speaker has checked the texts in German, French and Spanish yet.</source>
        <translation>Die deutschen, französischen und spanischen Texte hat noch niemand geprüft, der eine dieser Sprachen als Muttersprache spricht.</translation>
    </message>
    <message>
        <source>No page has all of these words. These have some:</source>
        <translation>Keine Seite enthält alle diese Wörter. Diese enthalten einige:</translation>
    </message>
    <message>
        <source>No round begins or closes until it is resumed. No deadline passes.</source>
        <translation>Keine Runde beginnt oder endet, bis sie fortgesetzt wird. Keine Frist läuft ab.</translation>
    </message>
    <message>
        <source>No round begins or closes, and no deadline passes, until you resume it. Sites finish what they have begun, and what they send still counts.</source>
        <translation>Keine Runde beginnt oder endet, und keine Frist läuft ab, bis Sie sie fortsetzen. Standorte bringen zu Ende, worum sie gebeten wurden, und was sie senden, zählt weiterhin.</translation>
    </message>
    <message>
        <source>No round begins or ends until the host lets it go on; there is nothing to do here.</source>
        <translation>Keine Runde beginnt oder endet, bis der Betreiber sie weiterlaufen lässt; hier ist nichts zu tun.</translation>
    </message>
    <message>
        <source>No summary.</source>
        <translation>Keine Zusammenfassung.</translation>
    </message>
    <message>
        <source>Nobody can join with it any longer. You can invite this site again.</source>
        <translation>Niemand kann mehr damit beitreten. Sie können diesen Standort wieder einladen.</translation>
    </message>
    <message>
        <source>Nobody has marked this record as reviewed yet.</source>
        <translation>Noch niemand hat dieses Protokoll als durchgesehen vermerkt.</translation>
    </message>
    <message>
        <source>None yet.</source>
        <translation>Noch keine.</translation>
    </message>
    <message>
        <source>Norm</source>
        <translation>Norm</translation>
    </message>
    <message>
        <source>Not asked for.</source>
        <translation>Nicht verlangt.</translation>
    </message>
    <message>
        <source>Not asked in this round</source>
        <translation>In dieser Runde nicht gefragt</translation>
    </message>
    <message>
        <source>Not evaluated</source>
        <translation>Nicht ausgewertet</translation>
    </message>
    <message>
        <source>Not everything could be measured. What was tried found nothing; that is no proof.</source>
        <translation>Nicht alles ließ sich messen. Was versucht wurde, fand nichts; das ist kein Beweis.</translation>
    </message>
    <message>
        <source>Not fitted</source>
        <translation>Nicht angepasst</translation>
    </message>
    <message>
        <source>Not joined</source>
        <translation>Nicht beigetreten</translation>
    </message>
    <message>
        <source>Not measured for this update. An adapter can reveal something about the notes that it was trained on.</source>
        <translation>Für diesen Beitrag nicht gemessen. Ein Adapter kann etwas über die Texte verraten, mit denen er trainiert wurde.</translation>
    </message>
    <message>
        <source>Not read, because the other side could not be read.</source>
        <translation>Nicht gelesen, weil die andere Seite nicht gelesen werden konnte.</translation>
    </message>
    <message>
        <source>Not scored on {notes}</source>
        <translation>Nicht bewertet auf {notes}</translation>
    </message>
    <message>
        <source>Not used: it is longer than {what}.</source>
        <translation>Nicht verwendet: länger als {what}.</translation>
    </message>
    <message>
        <source>Not used: the text is empty.</source>
        <translation>Nicht verwendet: Der Text ist leer.</translation>
    </message>
    <message>
        <source>Not used: {what} has the same id.</source>
        <translation>Nicht verwendet: Seine ID ist auch die ID von {what}.</translation>
    </message>
    <message>
        <source>Not used: {what}.</source>
        <translation>Nicht verwendet: {what}.</translation>
    </message>
    <message>
        <source>Not yet comparable with {earlier}: no round of both has been scored</source>
        <translation>Noch nicht mit {earlier} vergleichbar: Es gibt keine Runde, die bei beiden bewertet ist</translation>
    </message>
    <message>
        <source>Note text</source>
        <translation>Wörter aus den Texten</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Texte</translation>
    </message>
    <message>
        <source>Notes by number of characters</source>
        <translation>Texte nach Anzahl der Zeichen</translation>
    </message>
    <message>
        <source>Notes by number of tokens, the pieces of words that a model reads</source>
        <translation>Texte nach Anzahl der Tokens, der Wortteile, die ein Modell liest</translation>
    </message>
    <message>
        <source>Notes of one patient stay together.</source>
        <translation>Texte eines Patienten bleiben zusammen.</translation>
    </message>
    <message>
        <source>Notes that are nearly the same stay together.</source>
        <translation>Fast gleiche Texte bleiben zusammen.</translation>
    </message>
    <message>
        <source>Nothing answers there now. You can join anyway; this site keeps trying.</source>
        <translation>Dort antwortet gerade nichts. Sie können trotzdem beitreten; dieser Standort versucht es weiter.</translation>
    </message>
    <message>
        <source>Nothing found for “{words}”. Did you mean “{instead}”?</source>
        <translation>Nichts gefunden zu „{words}“. Meinten Sie „{instead}“?</translation>
    </message>
    <message>
        <source>Nothing found for “{words}”: try another word.</source>
        <translation>Nichts gefunden zu „{words}“: Versuchen Sie ein anderes Wort.</translation>
    </message>
    <message>
        <source>Nothing has changed in this round.</source>
        <translation>In dieser Runde hat sich nichts geändert.</translation>
    </message>
    <message>
        <source>Nothing is lost.</source>
        <translation>Nichts geht verloren.</translation>
    </message>
    <message>
        <source>Nothing is trained before you agree. Below you see who asks, and what would be shared.</source>
        <translation>Nichts wird trainiert, bevor Sie zustimmen. Unten sehen Sie, wer anfragt und was geteilt würde.</translation>
    </message>
    <message numerus="yes">
        <source>Nothing is wrong, but %n thing(s) should be looked at.</source>
        <translation>
            <numerusform>Nichts ist falsch, aber %n Punkt sollte angesehen werden.</numerusform>
            <numerusform>Nichts ist falsch, aber %n Punkte sollten angesehen werden.</numerusform>
        </translation>
    </message>
    <message>
        <source>Nothing leaves it; you decide afterwards.</source>
        <translation>Nichts verlässt den Rechner; Sie entscheiden danach.</translation>
    </message>
    <message>
        <source>Nothing leaves this computer.</source>
        <translation>Nichts verlässt diesen Rechner.</translation>
    </message>
    <message>
        <source>Nothing of it has left this computer.</source>
        <translation>Nichts davon hat diesen Rechner verlassen.</translation>
    </message>
    <message>
        <source>Nothing of this update has left.</source>
        <translation>Nichts von diesem Beitrag ist hinausgegangen.</translation>
    </message>
    <message>
        <source>Nothing to show yet</source>
        <translation>Noch nichts zu zeigen</translation>
    </message>
    <message>
        <source>Nothing was gained: the common model is as good on your notes.</source>
        <translation>Nichts wurde gewonnen: Das gemeinsame Modell ist auf Ihren Texten ebenso gut.</translation>
    </message>
    <message>
        <source>Nothing was kept.</source>
        <translation>Nichts wurde behalten.</translation>
    </message>
    <message>
        <source>Nothing was lost. You can continue where you stopped.</source>
        <translation>Nichts ging verloren. Sie können dort weitermachen, wo Sie aufgehört haben.</translation>
    </message>
    <message>
        <source>Notifications</source>
        <translation>Benachrichtigungen</translation>
    </message>
    <message>
        <source>Now ({site}): {work}.</source>
        <translation>Jetzt ({site}): {work}.</translation>
    </message>
    <message>
        <source>Now: {work}.</source>
        <translation>Jetzt: {work}.</translation>
    </message>
    <message>
        <source>Numbers, names, addresses</source>
        <translation>Nummern, Namen, Adressen</translation>
    </message>
    <message>
        <source>Of its report only these numbers may leave: {names}.</source>
        <translation>Von seinem Bericht dürfen nur diese Zahlen hinaus: {names}.</translation>
    </message>
    <message>
        <source>Of the full model</source>
        <translation>Vom ganzen Modell</translation>
    </message>
    <message>
        <source>Offline</source>
        <translation>Offline</translation>
    </message>
    <message>
        <source>Old updates deleted</source>
        <translation>Alte Beiträge gelöscht</translation>
    </message>
    <message numerus="yes">
        <source>On %n note(s); in brackets the 95 % interval of each score.</source>
        <translation>
            <numerusform>Auf %n Text; in Klammern das 95-%-Intervall jedes Scores.</numerusform>
            <numerusform>Auf %n Texten; in Klammern das 95-%-Intervall jedes Scores.</numerusform>
        </translation>
    </message>
    <message>
        <source>Once a round&apos;s training is done, this shows how much each layer has changed.</source>
        <translation>Sobald das Training einer Runde fertig ist, zeigt dies, wie stark sich jede Schicht verändert hat.</translation>
    </message>
    <message>
        <source>One of the notes cannot be used.</source>
        <translation>Einer der Texte ist nicht verwendbar.</translation>
    </message>
    <message>
        <source>One of the notes does not have the format of a note.</source>
        <translation>Einer der Texte hat nicht das verlangte Format.</translation>
    </message>
    <message>
        <source>Only sites on this computer can join, at {address}.</source>
        <translation>Nur Standorte auf diesem Rechner können beitreten, unter {address}.</translation>
    </message>
    <message>
        <source>Only these people may approve: {names}.</source>
        <translation>Nur diese Personen dürfen freigeben: {names}.</translation>
    </message>
    <message>
        <source>Only this computer, to try it out</source>
        <translation>Nur dieser Rechner, zum Ausprobieren</translation>
    </message>
    <message>
        <source>Open the program to see why.</source>
        <translation>Öffnen Sie das Programm, um den Grund zu sehen.</translation>
    </message>
    <message>
        <source>Other computers cannot find this one by that address. Give its name in the network.</source>
        <translation>Damit finden andere Rechner diesen nicht. Geben Sie seinen Namen im Netz an.</translation>
    </message>
    <message>
        <source>Other computers, encrypted</source>
        <translation>Andere Rechner, verschlüsselt</translation>
    </message>
    <message>
        <source>Other computers, over the network (encrypted)</source>
        <translation>Andere Rechner, über das Netz (verschlüsselt)</translation>
    </message>
    <message>
        <source>Other side</source>
        <translation>Gegenseite</translation>
    </message>
    <message>
        <source>Other sites</source>
        <translation>Andere Standorte</translation>
    </message>
    <message>
        <source>Otherwise: {does}.</source>
        <translation>Sonst: {does}.</translation>
    </message>
    <message>
        <source>Packages that the program uses</source>
        <translation>Pakete, auf denen das Programm aufbaut</translation>
    </message>
    <message>
        <source>Parts of one document stay together.</source>
        <translation>Teile eines Dokuments bleiben zusammen.</translation>
    </message>
    <message>
        <source>Passes over the notes</source>
        <translation>Durchgänge durch die Notizen</translation>
    </message>
    <message>
        <source>Patients</source>
        <translation>Patienten</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Pausieren</translation>
    </message>
    <message>
        <source>Pause the federation?</source>
        <translation>Die Föderation pausieren?</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>Pausiert</translation>
    </message>
    <message>
        <source>Paused at the site</source>
        <translation>Am Standort pausiert</translation>
    </message>
    <message>
        <source>Paused by a host</source>
        <translation>Von einem Betreiber pausiert</translation>
    </message>
    <message>
        <source>Performance drift</source>
        <translation>Leistungsdrift</translation>
    </message>
    <message>
        <source>Perhaps better on {notes}, not sure</source>
        <translation>Vielleicht besser auf {notes}, nicht sicher</translation>
    </message>
    <message>
        <source>Perhaps better than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then</source>
        <translation>Vielleicht besser als {earlier} nach ebenso vielen Runden ({rounds}), nicht sicher: {now} von 100, damals {then}</translation>
    </message>
    <message>
        <source>Perhaps worse on {notes}, not sure</source>
        <translation>Vielleicht schlechter auf {notes}, nicht sicher</translation>
    </message>
    <message>
        <source>Perhaps worse than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then</source>
        <translation>Vielleicht schlechter als {earlier} nach ebenso vielen Runden ({rounds}), nicht sicher: {now} von 100, damals {then}</translation>
    </message>
    <message>
        <source>Phone the host, at a number that you already have, and read them out. The host sees the same words.</source>
        <translation>Rufen Sie den Betreiber unter einer Nummer an, die Sie schon haben, und lesen Sie die Wörter vor. Der Betreiber sieht dieselben Wörter.</translation>
    </message>
    <message>
        <source>Plain text</source>
        <translation>Reiner Text</translation>
    </message>
    <message>
        <source>Plain text is learned without labels and goes with nothing else: choose it alone.</source>
        <translation>Reiner Text wird ohne Annotationen gelernt und verträgt sich mit nichts anderem: Wählen Sie ihn allein.</translation>
    </message>
    <message>
        <source>Plan received</source>
        <translation>Plan empfangen</translation>
    </message>
    <message>
        <source>Planted records</source>
        <translation>Eingestreute Datensätze</translation>
    </message>
    <message>
        <source>Points, of 100</source>
        <translation>Punkte, von 100</translation>
    </message>
    <message>
        <source>Points, of 100, on {notes}.</source>
        <translation>Punkte, von 100, auf {notes}.</translation>
    </message>
    <message>
        <source>Policy of this site</source>
        <translation>Richtlinie dieses Standorts</translation>
    </message>
    <message>
        <source>Policy rule applied</source>
        <translation>Regel der Richtlinie angewendet</translation>
    </message>
    <message>
        <source>Port</source>
        <translation>Port</translation>
    </message>
    <message>
        <source>Port in the invitations</source>
        <translation>Port in den Einladungen</translation>
    </message>
    <message>
        <source>Preparing</source>
        <translation>Wird vorbereitet</translation>
    </message>
    <message>
        <source>Privacy budget (epsilon)</source>
        <translation>Privatsphäre-Budget (Epsilon)</translation>
    </message>
    <message>
        <source>Probes: {name} is {value}.</source>
        <translation>Angriffsproben: {name} ist {value}.</translation>
    </message>
    <message>
        <source>Processor {share}, {memory}</source>
        <translation>Prozessor {share}, {memory}</translation>
    </message>
    <message>
        <source>Production</source>
        <translation>Produktiv</translation>
    </message>
    <message>
        <source>Production: its results are meant to be used</source>
        <translation>Produktiv: Was entsteht, soll verwendet werden</translation>
    </message>
    <message>
        <source>Program</source>
        <translation>Programm</translation>
    </message>
    <message>
        <source>Protected to some degree by differential privacy.</source>
        <translation>Durch Differential Privacy bis zu einem gewissen Grad geschützt.</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>Proxy</translation>
    </message>
    <message>
        <source>Public notes</source>
        <translation>Öffentliche Notizen</translation>
    </message>
    <message>
        <source>Qt {qt} and PySide6: GNU LGPL 3, as shared libraries that you may replace; their sources are at
{sources}</source>
        <translation>Qt {qt} und PySide6: GNU LGPL 3, als gemeinsam genutzte Bibliotheken, die Sie ersetzen dürfen; ihre Quellen finden Sie unter
{sources}</translation>
    </message>
    <message>
        <source>Questions</source>
        <translation>Fragen</translation>
    </message>
    <message>
        <source>Questions, right</source>
        <translation>Fragen, richtig</translation>
    </message>
    <message>
        <source>ROUGE on average</source>
        <translation>ROUGE im Mittel</translation>
    </message>
    <message>
        <source>ROUGE-1</source>
        <translation>ROUGE-1</translation>
    </message>
    <message>
        <source>ROUGE-2</source>
        <translation>ROUGE-2</translation>
    </message>
    <message>
        <source>ROUGE-L</source>
        <translation>ROUGE-L</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rang</translation>
    </message>
    <message>
        <source>Rank of the adapter</source>
        <translation>Rang des Adapters</translation>
    </message>
    <message>
        <source>Rank {rank:.0f} at this site</source>
        <translation>Rang {rank:.0f} an diesem Standort</translation>
    </message>
    <message>
        <source>Rank, mean / last</source>
        <translation>Rang, Mittel / zuletzt</translation>
    </message>
    <message>
        <source>Rank: not known yet</source>
        <translation>Rang: noch nicht bekannt</translation>
    </message>
    <message>
        <source>Read after the other side.</source>
        <translation>Wird nach der anderen Seite gelesen.</translation>
    </message>
    <message>
        <source>Read as plain text, like the other files of its folder, though it looks like {what}. If it is, put it into a folder of its own.</source>
        <translation>Als reiner Text gelesen wie die anderen Dateien des Ordners, obwohl es nach {what} aussieht. Wenn es das ist, legen Sie es in einen eigenen Ordner.</translation>
    </message>
    <message>
        <source>Reading</source>
        <translation>Wird gelesen</translation>
    </message>
    <message>
        <source>Reading part {part} of {parts}</source>
        <translation>Teil {part} von {parts} wird gelesen</translation>
    </message>
    <message>
        <source>Reading the notes and the model…</source>
        <translation>Texte und Modell werden gelesen…</translation>
    </message>
    <message>
        <source>Reading your notes and loading the base model.</source>
        <translation>Ihre Texte werden gelesen, und das Basismodell wird geladen.</translation>
    </message>
    <message>
        <source>Ready for your decision</source>
        <translation>Bereit für Ihre Entscheidung</translation>
    </message>
    <message>
        <source>Reason</source>
        <translation>Grund</translation>
    </message>
    <message>
        <source>Recall@10</source>
        <translation>Recall@10</translation>
    </message>
    <message>
        <source>Recall@10, category</source>
        <translation>Recall@10, Kategorie</translation>
    </message>
    <message>
        <source>Receipt</source>
        <translation>Quittung</translation>
    </message>
    <message>
        <source>Receipt checked</source>
        <translation>Quittung geprüft</translation>
    </message>
    <message>
        <source>Received</source>
        <translation>Empfangen</translation>
    </message>
    <message>
        <source>Record begun by a newer version of the program</source>
        <translation>Protokoll von einer neueren Version des Programms begonnen</translation>
    </message>
    <message>
        <source>Record reviewed</source>
        <translation>Protokoll durchgesehen</translation>
    </message>
    <message>
        <source>Refused</source>
        <translation>Abgelehnt</translation>
    </message>
    <message>
        <source>Refused by the coordinator</source>
        <translation>Vom Koordinator abgelehnt</translation>
    </message>
    <message>
        <source>Rejection</source>
        <translation>Ablehnung</translation>
    </message>
    <message>
        <source>Relations left out, because one of their mentions is missing: {count}.</source>
        <translation>Relationen, die ausgelassen wurden, weil eine Nennung an ihrem Ende fehlt: {count}.</translation>
    </message>
    <message>
        <source>Relations listed more than once, taken once: {count}.</source>
        <translation>Relationen, die mehrfach aufgeführt sind und einmal gezählt werden: {count}.</translation>
    </message>
    <message>
        <source>Release for sending</source>
        <translation>Übergabe zum Senden</translation>
    </message>
    <message>
        <source>Removal</source>
        <translation>Ausschluss</translation>
    </message>
    <message>
        <source>Remove the site</source>
        <translation>Standort entfernen</translation>
    </message>
    <message>
        <source>Remove {site}?</source>
        <translation>{site} entfernen?</translation>
    </message>
    <message>
        <source>Removed</source>
        <translation>Entfernt</translation>
    </message>
    <message>
        <source>Request to join refused</source>
        <translation>Beitrittsanfrage abgelehnt</translation>
    </message>
    <message>
        <source>Research demonstration, not for diagnosis or treatment</source>
        <translation>Forschungsdemonstration, nicht für Diagnose oder Behandlung</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>Ergebnis</translation>
    </message>
    <message>
        <source>Resume it, and its sites are asked once more.</source>
        <translation>Setzen Sie sie fort, dann werden ihre Standorte noch einmal gefragt.</translation>
    </message>
    <message>
        <source>Review</source>
        <translation>Durchsicht</translation>
    </message>
    <message>
        <source>Review and decide</source>
        <translation>Ansehen und entscheiden</translation>
    </message>
    <message>
        <source>Reviewed up to entry {number} by {name}, {day}.</source>
        <translation>Bis Eintrag {number} durchgesehen von {name}, {day}.</translation>
    </message>
    <message>
        <source>Right answers</source>
        <translation>Richtige Antworten</translation>
    </message>
    <message>
        <source>Riverside federation</source>
        <translation>Riverside federation</translation>
    </message>
    <message>
        <source>Round</source>
        <translation>Runde</translation>
    </message>
    <message>
        <source>Round closed</source>
        <translation>Runde beendet</translation>
    </message>
    <message>
        <source>Round closed without it</source>
        <translation>Runde endete ohne diesen Beitrag</translation>
    </message>
    <message>
        <source>Round declined</source>
        <translation>Runde abgelehnt</translation>
    </message>
    <message>
        <source>Round opened</source>
        <translation>Runde eröffnet</translation>
    </message>
    <message>
        <source>Round {round}</source>
        <translation>Runde {round}</translation>
    </message>
    <message>
        <source>Round {round} has stopped: too few sites have sent</source>
        <translation>Runde {round} steht still: Zu wenige Standorte haben gesendet</translation>
    </message>
    <message>
        <source>Round {round} is finished</source>
        <translation>Runde {round} ist abgeschlossen</translation>
    </message>
    <message>
        <source>Round {round} of {rounds}</source>
        <translation>Runde {round} von {rounds}</translation>
    </message>
    <message>
        <source>Round {round} of {rounds} needs {quorum} updates.</source>
        <translation>Runde {round} von {rounds} braucht {quorum} Beiträge.</translation>
    </message>
    <message>
        <source>Round {round}.</source>
        <translation>Runde {round}.</translation>
    </message>
    <message>
        <source>Rounds</source>
        <translation>Runden</translation>
    </message>
    <message>
        <source>Rounds whose updates are kept</source>
        <translation>Runden, deren Beiträge bleiben</translation>
    </message>
    <message>
        <source>Rule {number}, &quot;{name}&quot;: {when}{does}.</source>
        <translation>Regel {number}, „{name}“: {when}{does}.</translation>
    </message>
    <message>
        <source>Run the demonstration or choose an adapter.</source>
        <translation>Starten Sie die Demo oder wählen Sie einen Adapter.</translation>
    </message>
    <message>
        <source>Saturday</source>
        <translation>Samstag</translation>
    </message>
    <message>
        <source>Saved as {path}, signed by this site&apos;s key {key}. Whoever gets it checks it with: fedmed-desktop --verify-audit {path}</source>
        <translation>Gespeichert als {path}, signiert mit dem Schlüssel {key} dieses Standorts. Wer die Datei erhält, prüft sie mit: fedmed-desktop --verify-audit {path}</translation>
    </message>
    <message>
        <source>Saved as {path}, without a signature: this site has no key yet.</source>
        <translation>Gespeichert als {path}, ohne Signatur: Dieser Standort hat noch keinen Schlüssel.</translation>
    </message>
    <message>
        <source>Saved as {path}. A table proves nothing by itself; for that, export the signed JSON.</source>
        <translation>Gespeichert als {path}. Eine Tabelle beweist für sich nichts; exportieren Sie dafür das signierte JSON.</translation>
    </message>
    <message>
        <source>Saved as {path}. It learned from patients&apos; notes: keep it where such a model may be.</source>
        <translation>Gespeichert als {path}. Es hat aus Patientenakten gelernt: Bewahren Sie es dort auf, wo ein solches Modell sein darf.</translation>
    </message>
    <message>
        <source>Saved as {path}. Paper proves nothing by itself; for that, export the signed JSON.</source>
        <translation>Gespeichert als {path}. Papier beweist für sich nichts; exportieren Sie dafür das signierte JSON.</translation>
    </message>
    <message>
        <source>Saved {time}. Research software: this makes no medical claim.</source>
        <translation>Gespeichert {time}. Forschungssoftware: Sie erhebt keinen medizinischen Anspruch.</translation>
    </message>
    <message>
        <source>Saving…</source>
        <translation>Wird gespeichert…</translation>
    </message>
    <message>
        <source>Score</source>
        <translation>Bewertung</translation>
    </message>
    <message>
        <source>Score on your notes</source>
        <translation>Score auf Ihren Texten</translation>
    </message>
    <message>
        <source>Scores</source>
        <translation>Scores</translation>
    </message>
    <message>
        <source>Scores are no better</source>
        <translation>Scores sind nicht besser</translation>
    </message>
    <message>
        <source>Scores became worse</source>
        <translation>Scores sind schlechter geworden</translation>
    </message>
    <message>
        <source>Scores improved</source>
        <translation>Scores sind besser geworden</translation>
    </message>
    <message>
        <source>Scores of the final adapter</source>
        <translation>Scores des endgültigen Adapters</translation>
    </message>
    <message>
        <source>Scoring</source>
        <translation>Bewertung läuft</translation>
    </message>
    <message>
        <source>Scoring after training</source>
        <translation>Bewertung nach dem Training</translation>
    </message>
    <message>
        <source>Scoring before training</source>
        <translation>Bewertung vor dem Training</translation>
    </message>
    <message>
        <source>Scoring the final adapter</source>
        <translation>Der endgültige Adapter wird bewertet</translation>
    </message>
    <message>
        <source>Secret key</source>
        <translation>Geheimer Schlüssel</translation>
    </message>
    <message>
        <source>Secret key made</source>
        <translation>Geheimer Schlüssel erstellt</translation>
    </message>
    <message>
        <source>Secret key missing</source>
        <translation>Geheimer Schlüssel fehlt</translation>
    </message>
    <message>
        <source>Secret key moved to another place</source>
        <translation>Geheimer Schlüssel an einen anderen Ort verschoben</translation>
    </message>
    <message>
        <source>Secret key replaced</source>
        <translation>Geheimer Schlüssel ersetzt</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Demo ansehen</translation>
    </message>
    <message>
        <source>See it again</source>
        <translation>Noch einmal ansehen</translation>
    </message>
    <message>
        <source>See what a model finds in a note on this computer. Nothing is sent anywhere.</source>
        <translation>Sehen Sie, was ein Modell auf diesem Rechner in einem Text findet. Nichts wird irgendwohin gesendet.</translation>
    </message>
    <message>
        <source>Semantic drift</source>
        <translation>Semantische Drift</translation>
    </message>
    <message>
        <source>Sending</source>
        <translation>Wird gesendet</translation>
    </message>
    <message>
        <source>Sending soon</source>
        <translation>Wird gleich gesendet</translation>
    </message>
    <message>
        <source>Sending started</source>
        <translation>Senden begonnen</translation>
    </message>
    <message>
        <source>Sending the adapter</source>
        <translation>Der Adapter wird gesendet</translation>
    </message>
    <message>
        <source>Sends nothing in this round</source>
        <translation>Sendet in dieser Runde nichts</translation>
    </message>
    <message>
        <source>Sent</source>
        <translation>Gesendet</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Einstellungen</translation>
    </message>
    <message>
        <source>Share from your notes</source>
        <translation>Anteil aus Ihren Texten</translation>
    </message>
    <message>
        <source>Share of the change</source>
        <translation>Anteil an der Änderung</translation>
    </message>
    <message>
        <source>Show me</source>
        <translation>Demo zeigen</translation>
    </message>
    <message>
        <source>Site</source>
        <translation>Standort</translation>
    </message>
    <message>
        <source>Site closed in the program</source>
        <translation>Standort im Programm geschlossen</translation>
    </message>
    <message>
        <source>Site confirmed</source>
        <translation>Standort bestätigt</translation>
    </message>
    <message>
        <source>Site invited</source>
        <translation>Standort eingeladen</translation>
    </message>
    <message>
        <source>Site opened in the program</source>
        <translation>Standort im Programm geöffnet</translation>
    </message>
    <message>
        <source>Site removed</source>
        <translation>Standort entfernt</translation>
    </message>
    <message>
        <source>Site&apos;s key replaced</source>
        <translation>Schlüssel eines Standorts ersetzt</translation>
    </message>
    <message>
        <source>Sites add noise as they train. With few notes, little is learned.</source>
        <translation>Standorte trainieren mit Rauschen. Bei wenigen Notizen wird wenig gelernt.</translation>
    </message>
    <message>
        <source>Sites are waiting for it. Nothing is lost: once it runs again, everything continues where it stopped.</source>
        <translation>Die Standorte warten auf sie. Es geht nichts verloren: Läuft sie wieder, geht alles da weiter, wo es war.</translation>
    </message>
    <message>
        <source>Sites asked in each round</source>
        <translation>Standorte, die jede Runde fragt</translation>
    </message>
    <message>
        <source>Sites can join while this computer is on. They find it by the address in their invitations.</source>
        <translation>Standorte können beitreten, solange dieser Rechner läuft. Sie finden ihn unter der Adresse in ihren Einladungen.</translation>
    </message>
    <message>
        <source>Sites connect to it; their invitations name it.</source>
        <translation>Die Standorte rufen sie auf: Sie steht in ihren Einladungen.</translation>
    </message>
    <message>
        <source>Sites expected</source>
        <translation>Erwartete Standorte</translation>
    </message>
    <message>
        <source>Sites that a round needs</source>
        <translation>Standorte, die eine Runde braucht</translation>
    </message>
    <message>
        <source>Sites that are expected</source>
        <translation>Erwartete Standorte</translation>
    </message>
    <message>
        <source>Sites wait until you serve it again. Nothing is lost: everything goes on where it was, and what they are training goes on at the sites.</source>
        <translation>Die Standorte warten, bis Sie sie wieder starten. Es geht nichts verloren: Alles geht da weiter, wo es war, und was die Standorte gerade trainieren, läuft dort weiter.</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Größe</translation>
    </message>
    <message>
        <source>So far neither is ahead.</source>
        <translation>Bisher liegt keines vorn.</translation>
    </message>
    <message>
        <source>So far {ahead} is ahead; too few comparisons to tell.</source>
        <translation>Bisher liegt {ahead} vorn; für eine Aussage sind es zu wenige Vergleiche.</translation>
    </message>
    <message>
        <source>So far {ahead} is better, fairly sure.</source>
        <translation>Bisher ist {ahead} besser, ziemlich sicher.</translation>
    </message>
    <message>
        <source>Some of the notes do not have the format of a note.</source>
        <translation>Einige der Texte haben nicht das verlangte Format.</translation>
    </message>
    <message>
        <source>Something needs me, such as a fault</source>
        <translation>Ich werde gebraucht, etwa bei einer Störung</translation>
    </message>
    <message>
        <source>Specialties</source>
        <translation>Fachgebiete</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Geschwindigkeit</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Stand</translation>
    </message>
    <message>
        <source>Stay</source>
        <translation>Bleiben</translation>
    </message>
    <message>
        <source>Stay in the tray</source>
        <translation>Im Infobereich bleiben</translation>
    </message>
    <message>
        <source>Stay its host</source>
        <translation>Betreiber bleiben</translation>
    </message>
    <message>
        <source>Stay open</source>
        <translation>Geöffnet lassen</translation>
    </message>
    <message>
        <source>Step</source>
        <translation>Schritt</translation>
    </message>
    <message>
        <source>Step 1 of 3: loading what training needs, and reading the example notes of three sites.</source>
        <translation>Schritt 1 von 3: Was das Training braucht, wird geladen, und die Beispieltexte von drei Standorten werden gelesen.</translation>
    </message>
    <message>
        <source>Step 2 of 3: the coordinator starts, and the sites connect to it.</source>
        <translation>Schritt 2 von 3: Der Koordinator startet, und die Standorte verbinden sich mit ihm.</translation>
    </message>
    <message>
        <source>Step 3 of 3: loading the small model and preparing the notes for it.</source>
        <translation>Schritt 3 von 3: Das kleine Modell wird geladen, und die Texte werden dafür vorbereitet.</translation>
    </message>
    <message>
        <source>Step {done} of {total}</source>
        <translation>Schritt {done} von {total}</translation>
    </message>
    <message>
        <source>Stop and close</source>
        <translation>Anhalten und schließen</translation>
    </message>
    <message>
        <source>Stop it and begin</source>
        <translation>Anhalten und beginnen</translation>
    </message>
    <message>
        <source>Stop serving</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>Stop serving the federation?</source>
        <translation>Die Föderation anhalten?</translation>
    </message>
    <message>
        <source>Stop serving, and close</source>
        <translation>Anhalten und schließen</translation>
    </message>
    <message>
        <source>Stop taking part</source>
        <translation>Teilnahme beenden</translation>
    </message>
    <message>
        <source>Stop taking part?</source>
        <translation>Teilnahme beenden?</translation>
    </message>
    <message>
        <source>Stopped</source>
        <translation>Angehalten</translation>
    </message>
    <message>
        <source>Strongly protected by differential privacy.</source>
        <translation>Durch Differential Privacy stark geschützt.</translation>
    </message>
    <message>
        <source>Summaries</source>
        <translation>Zusammenfassungen</translation>
    </message>
    <message>
        <source>Summary ROUGE</source>
        <translation>Zusammenfassungen ROUGE</translation>
    </message>
    <message>
        <source>Sunday</source>
        <translation>Sonntag</translation>
    </message>
    <message>
        <source>Support bundle</source>
        <translation>Support-Paket</translation>
    </message>
    <message>
        <source>Tags that do not fit the tag before them: {count} ({what}). A mention begins where an inside tag continues none, and ends where its end tag is missing.</source>
        <translation>Tags, die nicht zum vorigen Tag passen: {count} ({what}). Eine Nennung beginnt, wo ein inneres Tag keine fortsetzt, und endet, wo ihr Schluss-Tag fehlt.</translation>
    </message>
    <message>
        <source>Take back</source>
        <translation>Zurücknehmen</translation>
    </message>
    <message>
        <source>Take back the invitation of {site}?</source>
        <translation>Die Einladung von {site} zurücknehmen?</translation>
    </message>
    <message>
        <source>Take it back</source>
        <translation>Zurücknehmen</translation>
    </message>
    <message>
        <source>Take part</source>
        <translation>Teilnehmen</translation>
    </message>
    <message>
        <source>Take part at once</source>
        <translation>Nehmen sofort teil</translation>
    </message>
    <message>
        <source>Take part in {federation}?</source>
        <translation>An {federation} teilnehmen?</translation>
    </message>
    <message>
        <source>Taken back</source>
        <translation>Zurückgenommen</translation>
    </message>
    <message>
        <source>Taken back. Nothing of this update has left.</source>
        <translation>Zurückgenommen. Nichts von diesem Beitrag ist hinausgegangen.</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>Aufgabe</translation>
    </message>
    <message>
        <source>Tasks</source>
        <translation>Aufgaben</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>Test</translation>
    </message>
    <message>
        <source>Test loss</source>
        <translation>Testverlust</translation>
    </message>
    <message>
        <source>Test run</source>
        <translation>Testlauf</translation>
    </message>
    <message>
        <source>Test: its results are not for use</source>
        <translation>Test: Was entsteht, zählt nicht</translation>
    </message>
    <message>
        <source>That needs counts of specialties or types, which this federation does not share.</source>
        <translation>Dafür sind Anzahlen nach Fachgebieten oder Typen nötig, und diese Föderation teilt sie nicht.</translation>
    </message>
    <message>
        <source>That needs marked entities; your training notes have none.</source>
        <translation>Dafür sind markierte Entitäten nötig; Ihre Trainingstexte haben keine.</translation>
    </message>
    <message>
        <source>That needs training notes with a specialty; none of yours has one.</source>
        <translation>Dafür sind Trainingstexte mit einem Fachgebiet nötig; keiner Ihrer Texte hat eines.</translation>
    </message>
    <message>
        <source>The adapter stays here. Waiting for the next round.</source>
        <translation>Der Adapter bleibt hier. Es wird auf die nächste Runde gewartet.</translation>
    </message>
    <message>
        <source>The adapter stays on this computer.</source>
        <translation>Der Adapter bleibt auf diesem Rechner.</translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on example notes of {site}, so that you see what changes.</source>
        <translation>Der eingetroffene Adapter wird auf Beispieltexten von {site} bewertet, damit Sie sehen, was sich ändert.</translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on some of your notes, so that you can see what changes.</source>
        <translation>Der eingetroffene Adapter wird auf einigen Ihrer Texte bewertet, damit Sie sehen können, was sich ändert.</translation>
    </message>
    <message>
        <source>The adapter that this round starts from is on its way.</source>
        <translation>Der Adapter, mit dem diese Runde beginnt, ist unterwegs.</translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n example note(s) of {site} is waiting.</source>
        <translation>
            <numerusform>Der Adapter, der mit %n Beispieltext von {site} trainiert wurde, wartet.</numerusform>
            <numerusform>Der Adapter, der mit %n Beispieltexten von {site} trainiert wurde, wartet.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n of your notes is waiting.</source>
        <translation>
            <numerusform>Der Adapter, der mit %n Ihrer Texte trainiert wurde, wartet.</numerusform>
            <numerusform>Der Adapter, der mit %n Ihrer Texte trainiert wurde, wartet.</numerusform>
        </translation>
    </message>
    <message>
        <source>The attack tried here can often tell whether a note was trained on.</source>
        <translation>Der hier versuchte Angriff erkennt oft, ob mit einem Text trainiert wurde.</translation>
    </message>
    <message>
        <source>The attack tried here can sometimes tell whether a note was trained on.</source>
        <translation>Der hier versuchte Angriff erkennt manchmal, ob mit einem Text trainiert wurde.</translation>
    </message>
    <message>
        <source>The attack tried here could hardly tell the notes trained on from others of yours.</source>
        <translation>Der hier versuchte Angriff konnte die Trainingstexte kaum von Ihren anderen Texten unterscheiden.</translation>
    </message>
    <message>
        <source>The base model has not learned these types.</source>
        <translation>Das Basismodell hat diese Typen nicht gelernt.</translation>
    </message>
    <message>
        <source>The base model was scored.</source>
        <translation>Das Basismodell wurde bewertet.</translation>
    </message>
    <message>
        <source>The chain of its entries is whole.</source>
        <translation>Die Kette seiner Einträge ist lückenlos.</translation>
    </message>
    <message numerus="yes">
        <source>The change is spread over all %n layers.</source>
        <translation>
            <numerusform>Die Änderung betrifft die %n Schicht.</numerusform>
            <numerusform>Die Änderung verteilt sich über alle %n Schichten.</numerusform>
        </translation>
    </message>
    <message>
        <source>The charts show the first {count} methods only.</source>
        <translation>Die Diagramme zeigen nur die ersten {count} Methoden.</translation>
    </message>
    <message>
        <source>The common model goes on learning from your training notes, on this computer, in three passes over them. As much of that is kept as is best on your validation notes. Nothing is sent.</source>
        <translation>Das gemeinsame Modell lernt aus Ihren Trainingstexten weiter, auf diesem Rechner, in drei Durchgängen. Davon wird so viel behalten, wie auf Ihren Validierungstexten am besten ist. Nichts wird gesendet.</translation>
    </message>
    <message>
        <source>The coordinator</source>
        <translation>Der Koordinator</translation>
    </message>
    <message>
        <source>The coordinator can run on without this window: rounds go on, and you find it again at the next start. It runs until you stop it, log out, or switch the computer off.</source>
        <translation>Der Koordinator kann ohne dieses Fenster weiterlaufen: Die Runden gehen weiter, und beim nächsten Start finden Sie ihn wieder. Er läuft, bis Sie ihn anhalten, sich abmelden oder den Rechner ausschalten.</translation>
    </message>
    <message>
        <source>The coordinator cannot see this update alone: only the sum of the masked adapters of these sites can be opened. All numbers leave as they are.</source>
        <translation>Der Koordinator kann diesen Beitrag allein nicht sehen: Nur die Summe der maskierten Adapter dieser Standorte lässt sich öffnen. Alle Zahlen gehen so hinaus, wie sie sind.</translation>
    </message>
    <message>
        <source>The coordinator combines the sites&apos; adapters into the next one.</source>
        <translation>Der Koordinator führt die Adapter der Standorte zum nächsten zusammen.</translation>
    </message>
    <message>
        <source>The coordinator does not answer yet; you can decide once it does.</source>
        <translation>Der Koordinator antwortet noch nicht; Sie können entscheiden, sobald er antwortet.</translation>
    </message>
    <message>
        <source>The coordinator does not answer. You can decide once it does.</source>
        <translation>Der Koordinator antwortet nicht. Sie können entscheiden, sobald er antwortet.</translation>
    </message>
    <message>
        <source>The coordinator does not let you in</source>
        <translation>Der Koordinator lässt Sie nicht herein</translation>
    </message>
    <message>
        <source>The coordinator fetches exactly what you approved.</source>
        <translation>Der Koordinator holt genau das ab, was Sie freigegeben haben.</translation>
    </message>
    <message>
        <source>The coordinator has exactly what you approved. Receipt: {hash}.</source>
        <translation>Der Koordinator hat genau das, was Sie freigegeben haben. Quittung: {hash}.</translation>
    </message>
    <message>
        <source>The coordinator has it; the receipt is kept. Waiting for others.</source>
        <translation>Der Koordinator hat ihn; die Quittung ist gespeichert. Es wird auf die anderen gewartet.</translation>
    </message>
    <message>
        <source>The coordinator has stopped by itself</source>
        <translation>Der Koordinator hat von selbst angehalten</translation>
    </message>
    <message>
        <source>The coordinator has to wait</source>
        <translation>Der Koordinator muss warten</translation>
    </message>
    <message>
        <source>The coordinator is finishing its work…</source>
        <translation>Der Koordinator bringt zu Ende, woran er gerade arbeitet…</translation>
    </message>
    <message>
        <source>The coordinator is not asking for this one now. You can decide once it does.</source>
        <translation>Der Koordinator fragt gerade nicht nach diesem. Sie können entscheiden, sobald er es tut.</translation>
    </message>
    <message>
        <source>The coordinator is starting…</source>
        <translation>Der Koordinator startet…</translation>
    </message>
    <message>
        <source>The coordinator refused the update</source>
        <translation>Der Koordinator hat den Beitrag abgelehnt</translation>
    </message>
    <message>
        <source>The coordinator will know this site by this name.</source>
        <translation>Unter diesem Namen kennt der Koordinator diesen Standort dann.</translation>
    </message>
    <message>
        <source>The demonstration was stopped</source>
        <translation>Die Demo wurde angehalten</translation>
    </message>
    <message>
        <source>The encoding is not marked and was taken to be {what}. Check a few accented letters.</source>
        <translation>Die Zeichenkodierung ist nicht angegeben und wurde als {what} angenommen. Prüfen Sie einige Umlaute und Akzente.</translation>
    </message>
    <message>
        <source>The federation finishes with the scores that have come.</source>
        <translation>Die Föderation endet mit den Scores, die eingetroffen sind.</translation>
    </message>
    <message>
        <source>The federation goes on without you. To look after it again you need another invitation as a host.</source>
        <translation>Die Föderation geht ohne Sie weiter. Um sie wieder zu betreuen, brauchen Sie eine neue Einladung als Betreiber.</translation>
    </message>
    <message>
        <source>The federation has finished</source>
        <translation>Die Föderation ist abgeschlossen</translation>
    </message>
    <message>
        <source>The federation has no adapter yet. After its first round it is shown here, beside the base. Until then you can choose one from a folder.</source>
        <translation>Die Föderation hat noch keinen Adapter. Nach der ersten Runde erscheint er hier, neben dem Basismodell. Bis dahin können Sie einen aus einem Ordner wählen.</translation>
    </message>
    <message>
        <source>The federation has stopped</source>
        <translation>Die Föderation steht still</translation>
    </message>
    <message>
        <source>The federation is not served now</source>
        <translation>Die Föderation läuft zurzeit nicht</translation>
    </message>
    <message>
        <source>The federation is served at {address}</source>
        <translation>Die Föderation läuft unter {address}</translation>
    </message>
    <message>
        <source>The federation is served on this computer</source>
        <translation>Die Föderation läuft auf diesem Rechner</translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on example test notes of {site}.</source>
        <translation>Der endgültige Adapter der Föderation wird auf Beispiel-Testtexten von {site} bewertet.</translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on your test notes.</source>
        <translation>Der endgültige Adapter der Föderation wird auf Ihren Testtexten bewertet.</translation>
    </message>
    <message>
        <source>The federation&apos;s share is the mean over the sites of round {round}, this one included, weighted by their numbers of notes. A little is added to every count, so that none is zero.</source>
        <translation>Der Anteil der Föderation ist das Mittel über die Standorte der Runde {round}, diesen eingeschlossen, gewichtet nach der Anzahl ihrer Texte. Zu jeder Anzahl wird ein wenig addiert, damit keine null ist.</translation>
    </message>
    <message>
        <source>The file is not read: no format fits it, or its folder was taken to be of another format.</source>
        <translation>Die Datei wird nicht gelesen: Kein Format passt zu ihr, oder ihr Ordner wurde einem anderen Format zugeordnet.</translation>
    </message>
    <message>
        <source>The final adapter is being scored on test notes that were never used for training.</source>
        <translation>Der endgültige Adapter wird auf Testtexten bewertet, die in keinem Training vorkamen.</translation>
    </message>
    <message>
        <source>The final adapter, on {notes} that were never used for training.</source>
        <translation>Der endgültige Adapter, auf {notes}, die in keinem Training vorkamen.</translation>
    </message>
    <message>
        <source>The first round begins once all have joined, or at {time} with those that have.</source>
        <translation>Die erste Runde beginnt, sobald alle da sind, spätestens aber um {time} mit denen, die da sind.</translation>
    </message>
    <message>
        <source>The first round begins once this many have joined.</source>
        <translation>Die erste Runde beginnt, sobald so viele beigetreten sind.</translation>
    </message>
    <message>
        <source>The first round begins once {expected} sites have joined.</source>
        <translation>Die erste Runde beginnt, sobald {expected} Standorte beigetreten sind.</translation>
    </message>
    <message>
        <source>The first round begins with the sites that have joined. Others can join later, for the next one.</source>
        <translation>Die erste Runde beginnt mit den Standorten, die beigetreten sind. Andere können später beitreten, für die nächste.</translation>
    </message>
    <message>
        <source>The first round opens once all of them are.</source>
        <translation>Die erste Runde beginnt, sobald alle verbunden sind.</translation>
    </message>
    <message>
        <source>The fitting stops. What it has learned from your notes so far is not kept.</source>
        <translation>Die Anpassung endet. Was sie bisher aus Ihren Texten gelernt hat, wird nicht behalten.</translation>
    </message>
    <message>
        <source>The host has paused the federation</source>
        <translation>Der Betreiber hat die Föderation pausiert</translation>
    </message>
    <message>
        <source>The host of the federation gives you one: a line, a file, or a picture. Nothing is joined yet.</source>
        <translation>Die Einladung gibt Ihnen der Betreiber der Föderation: eine Zeile, eine Datei oder ein Bild. Damit sind Sie noch nirgends beigetreten.</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached</source>
        <translation>Der Rechner des Betreibers ist nicht erreichbar</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached. You can decide now; it is sent once it can be.</source>
        <translation>Der Rechner des Betreibers ist nicht erreichbar. Sie können jetzt entscheiden; gesendet wird, sobald er erreichbar ist.</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached: the update is sent once it can, and nobody can take it back then.</source>
        <translation>Der Rechner des Betreibers ist nicht erreichbar: Der Beitrag wird gesendet, sobald er es ist, und niemand kann ihn dann zurücknehmen.</translation>
    </message>
    <message>
        <source>The invitation is complete. Nothing has been sent yet.</source>
        <translation>Die Einladung ist vollständig. Noch wurde nichts gesendet.</translation>
    </message>
    <message>
        <source>The key {what} is not read.</source>
        <translation>Der Schlüssel {what} wird nicht gelesen.</translation>
    </message>
    <message>
        <source>The last round is done; the final adapter is being scored</source>
        <translation>Die letzte Runde ist vorbei; der endgültige Adapter wird bewertet</translation>
    </message>
    <message>
        <source>The mean of tasks is the mean of these, after the last round: {names}.</source>
        <translation>Das Mittel der Aufgaben ist nach der letzten Runde das Mittel aus: {names}.</translation>
    </message>
    <message>
        <source>The model is being loaded.</source>
        <translation>Das Modell wird geladen.</translation>
    </message>
    <message>
        <source>The model learns from example notes of {site} on this computer.</source>
        <translation>Das Modell lernt auf diesem Rechner aus Beispieltexten von {site}.</translation>
    </message>
    <message>
        <source>The model learns from your notes on this computer.</source>
        <translation>Das Modell lernt auf diesem Rechner aus Ihren Texten.</translation>
    </message>
    <message>
        <source>The model that was fitted before is still here.</source>
        <translation>Das zuvor angepasste Modell ist noch da.</translation>
    </message>
    <message>
        <source>The note is read without annotations, because there is no {what} beside it.</source>
        <translation>Der Text wird ohne Annotationen gelesen, weil keine Datei {what} daneben liegt.</translation>
    </message>
    <message>
        <source>The notes are in a format that this program does not read.</source>
        <translation>Die Texte haben ein Format, das dieses Programm nicht liest.</translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split is proposed below.</source>
        <translation>Die Texte sind nicht in Training, Validierung und Test aufgeteilt. Unten wird eine Aufteilung vorgeschlagen.</translation>
    </message>
    <message>
        <source>The notes in this folder cannot be read.</source>
        <translation>Die Texte in diesem Ordner sind nicht lesbar.</translation>
    </message>
    <message>
        <source>The offsets count UTF-16 units and were turned into characters.</source>
        <translation>Die Positionen zählen UTF-16-Einheiten und wurden in Zeichen umgerechnet.</translation>
    </message>
    <message>
        <source>The offsets count a Windows line end as one character and were corrected.</source>
        <translation>Die Positionen zählen ein Windows-Zeilenende als ein Zeichen und wurden korrigiert.</translation>
    </message>
    <message>
        <source>The offsets count bytes of UTF-8 and were turned into characters.</source>
        <translation>Die Positionen zählen UTF-8-Bytes und wurden in Zeichen umgerechnet.</translation>
    </message>
    <message>
        <source>The ones in your notes have become much easier to guess.</source>
        <translation>Die in Ihren Texten sind viel leichter zu erraten geworden.</translation>
    </message>
    <message>
        <source>The ones in your notes have become somewhat easier to guess.</source>
        <translation>Die in Ihren Texten sind etwas leichter zu erraten geworden.</translation>
    </message>
    <message>
        <source>The ones in your notes have hardly become easier to guess than invented ones.</source>
        <translation>Die in Ihren Texten sind kaum leichter zu erraten geworden als erfundene.</translation>
    </message>
    <message>
        <source>The person who hosts the federation</source>
        <translation>Die Person, die die Föderation betreibt</translation>
    </message>
    <message>
        <source>The person who runs the coordinator compares six words with you by phone, then lets you in.</source>
        <translation>Wer den Koordinator betreibt, vergleicht am Telefon sechs Wörter mit Ihnen und lässt Sie dann herein.</translation>
    </message>
    <message>
        <source>The program</source>
        <translation>Das Programm</translation>
    </message>
    <message>
        <source>The program can stay in the tray, beside the clock: rounds go on, and you are told when a decision waits. If it closes, this site does not answer until you open it again. Your choice applies from now on; Settings can change it.</source>
        <translation>Das Programm kann im Infobereich neben der Uhr bleiben: Die Runden gehen weiter, und Sie erfahren, wenn eine Entscheidung wartet. Wird es geschlossen, antwortet dieser Standort erst wieder, wenn Sie es öffnen. Ihre Wahl gilt von jetzt an; in den Einstellungen können Sie sie ändern.</translation>
    </message>
    <message>
        <source>The program has a fault</source>
        <translation>Das Programm hat einen Fehler</translation>
    </message>
    <message>
        <source>The program is closing. The update will be here at the next start.</source>
        <translation>Das Programm wird geschlossen. Der Beitrag ist beim nächsten Start wieder hier.</translation>
    </message>
    <message>
        <source>The program keeps trying.</source>
        <translation>Das Programm versucht es weiter.</translation>
    </message>
    <message>
        <source>The question could not be asked: the note and the question are too long.</source>
        <translation>Die Frage konnte nicht gestellt werden: Text und Frage sind zu lang.</translation>
    </message>
    <message>
        <source>The rank is at most {most}.</source>
        <translation>Der Rang ist höchstens {most}.</translation>
    </message>
    <message>
        <source>The record is broken.</source>
        <translation>Das Protokoll ist beschädigt.</translation>
    </message>
    <message>
        <source>The record is broken: entry {number} cannot be trusted.</source>
        <translation>Das Protokoll ist beschädigt: Eintrag {number} ist nicht vertrauenswürdig.</translation>
    </message>
    <message numerus="yes">
        <source>The record is whole: %n entry(s), none changed, lost or inserted.</source>
        <translation>
            <numerusform>Das Protokoll ist vollständig: %n Eintrag, nicht geändert, verloren oder eingefügt.</numerusform>
            <numerusform>Das Protokoll ist vollständig: %n Einträge, keiner geändert, verloren oder eingefügt.</numerusform>
        </translation>
    </message>
    <message>
        <source>The report stays on this computer.</source>
        <translation>Der Bericht bleibt auf diesem Rechner.</translation>
    </message>
    <message>
        <source>The round closed before it was sent.</source>
        <translation>Die Runde endete, bevor er gesendet wurde.</translation>
    </message>
    <message>
        <source>The round closed without it</source>
        <translation>Die Runde endete ohne diesen Beitrag</translation>
    </message>
    <message>
        <source>The round closes at {time}; if nobody has decided by then, it closes without this site.</source>
        <translation>Die Runde endet um {time}; wenn bis dahin niemand entschieden hat, endet sie ohne diesen Standort.</translation>
    </message>
    <message>
        <source>The round is closing</source>
        <translation>Die Runde geht zu Ende</translation>
    </message>
    <message>
        <source>The round no longer waits for anyone.</source>
        <translation>Die Runde wartet auf niemanden mehr.</translation>
    </message>
    <message>
        <source>The same is true of {cells} and {count:,} more.</source>
        <translation>Dasselbe gilt für {cells} und {count:,} weitere.</translation>
    </message>
    <message>
        <source>The same is true of {cells}.</source>
        <translation>Dasselbe gilt für {cells}.</translation>
    </message>
    <message>
        <source>The scores are of the model with it.</source>
        <translation>Die Scores sind die des Modells mit ihm.</translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n example note(s) of {site} are waiting.</source>
        <translation>
            <numerusform>Die Scores des endgültigen Adapters auf %n Beispieltext von {site} warten.</numerusform>
            <numerusform>Die Scores des endgültigen Adapters auf %n Beispieltexten von {site} warten.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n of your notes are waiting.</source>
        <translation>
            <numerusform>Die Scores des endgültigen Adapters auf %n Ihrer Texte warten.</numerusform>
            <numerusform>Die Scores des endgültigen Adapters auf %n Ihrer Texte warten.</numerusform>
        </translation>
    </message>
    <message>
        <source>The sheet {what} is not read: only the first one with a column of texts is.</source>
        <translation>Das Tabellenblatt {what} wird nicht gelesen: Nur das erste mit einer Spalte von Texten wird gelesen.</translation>
    </message>
    <message>
        <source>The sites&apos; adapters are combined.</source>
        <translation>Die Adapter der Standorte sind zusammengeführt.</translation>
    </message>
    <message>
        <source>The time for it was too short.</source>
        <translation>Die Zeit dafür war zu kurz.</translation>
    </message>
    <message>
        <source>The trained adapter is scored on example notes of {site}.</source>
        <translation>Der trainierte Adapter wird auf Beispieltexten von {site} bewertet.</translation>
    </message>
    <message>
        <source>The trained adapter is scored on some of your notes.</source>
        <translation>Der trainierte Adapter wird auf einigen Ihrer Texte bewertet.</translation>
    </message>
    <message numerus="yes">
        <source>The two records match: all %n hash(es) that one side holds of the other were found.</source>
        <translation>
            <numerusform>Beide Protokolle passen zusammen: %n Hash, den eine Seite von der anderen hat, wurde gefunden.</numerusform>
            <numerusform>Beide Protokolle passen zusammen: Alle %n Hashes, die eine Seite von der anderen hat, wurden gefunden.</numerusform>
        </translation>
    </message>
    <message>
        <source>The updates of round {round} are being combined</source>
        <translation>Die Beiträge der Runde {round} werden zusammengeführt</translation>
    </message>
    <message>
        <source>The whole change is {times:.1f} times as large as in round {round}.</source>
        <translation>Die ganze Änderung ist {times:.1f}-mal so groß wie in Runde {round}.</translation>
    </message>
    <message>
        <source>The whole demonstration takes about {minutes} minutes; your first decision comes after about {first}.</source>
        <translation>Die ganze Demo dauert etwa {minutes} Minuten; Ihre erste Entscheidung kommt nach etwa {first}.</translation>
    </message>
    <message>
        <source>The whole update is {times:.1f} times as large as your last one.</source>
        <translation>Der ganze Beitrag ist {times:.1f}-mal so groß wie Ihr letzter.</translation>
    </message>
    <message>
        <source>The work has stopped. Continue it on the page Rounds; then you can decide.</source>
        <translation>Die Arbeit ist angehalten. Setzen Sie sie auf der Seite „Runden“ fort; dann können Sie entscheiden.</translation>
    </message>
    <message>
        <source>The work stopped. What was recorded is kept.</source>
        <translation>Die Arbeit wurde angehalten. Was aufgezeichnet ist, bleibt erhalten.</translation>
    </message>
    <message>
        <source>Then it closes, if enough sites have sent.</source>
        <translation>Dann endet sie, wenn genug Standorte gesendet haben.</translation>
    </message>
    <message>
        <source>Then the host confirms this site. If the words differ, somebody is intercepting the connection.</source>
        <translation>Dann bestätigt der Betreiber diesen Standort. Weichen die Wörter ab, fängt jemand die Verbindung ab.</translation>
    </message>
    <message>
        <source>There is a problem</source>
        <translation>Es gibt ein Problem</translation>
    </message>
    <message>
        <source>There is no policy: what leaves is decided by the person who is asked, or by --approve-rule.</source>
        <translation>Es gibt keine Richtlinie: Was hinausgeht, entscheidet die Person, die gefragt wird, oder --approve-rule.</translation>
    </message>
    <message>
        <source>There is none yet. It is made when this site joins a federation.</source>
        <translation>Es gibt noch keinen. Er wird erstellt, wenn dieser Standort einer Föderation beitritt.</translation>
    </message>
    <message>
        <source>There is nothing to do here until it opens.</source>
        <translation>Bis sie beginnt, ist hier nichts zu tun.</translation>
    </message>
    <message>
        <source>These notes can be used as they are.</source>
        <translation>Diese Texte sind so verwendbar, wie sie sind.</translation>
    </message>
    <message>
        <source>These notes can be used. Look at the points below first.</source>
        <translation>Diese Texte sind verwendbar. Sehen Sie sich zuerst die Punkte unten an.</translation>
    </message>
    <message>
        <source>These notes cannot be used yet.</source>
        <translation>Diese Texte sind noch nicht verwendbar.</translation>
    </message>
    <message>
        <source>These notes have no split yet. {kept} Rows that cannot be used are left out.</source>
        <translation>Diese Texte sind noch nicht aufgeteilt. {kept} Nicht verwendbare Zeilen werden ausgelassen.</translation>
    </message>
    <message>
        <source>These settings</source>
        <translation>Diese Einstellungen</translation>
    </message>
    <message>
        <source>This adapter reveals something about your notes. Keep it here unless that would not matter.</source>
        <translation>Dieser Adapter verrät etwas über Ihre Texte. Behalten Sie ihn hier, es sei denn, das wäre unbedenklich.</translation>
    </message>
    <message>
        <source>This becomes an entry of the record too, with your name and the time. It cannot be taken out again.</source>
        <translation>Auch dies wird ein Eintrag im Protokoll, mit Ihrem Namen und der Zeit. Er lässt sich nicht wieder entfernen.</translation>
    </message>
    <message>
        <source>This cannot be undone.</source>
        <translation>Das lässt sich nicht rückgängig machen.</translation>
    </message>
    <message>
        <source>This cannot continue</source>
        <translation>Hier geht es nicht weiter</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>Dieser Rechner</translation>
    </message>
    <message>
        <source>This computer could not be kept awake: its system offers no way to ask for that. Set it so that it does not sleep by itself.</source>
        <translation>Dieser Rechner konnte nicht wach gehalten werden: Sein System bietet keine Möglichkeit dafür. Stellen Sie ihn so ein, dass er nicht von selbst in den Ruhezustand geht.</translation>
    </message>
    <message>
        <source>This computer is busy; the note is read when that is done.</source>
        <translation>Dieser Rechner ist beschäftigt; danach wird der Text gelesen.</translation>
    </message>
    <message>
        <source>This computer is finishing something else first.</source>
        <translation>Dieser Rechner beendet zuerst etwas anderes.</translation>
    </message>
    <message>
        <source>This computer is in no network now. Connect it, or try the federation out on this computer alone.</source>
        <translation>Dieser Rechner ist gerade in keinem Netz. Verbinden Sie ihn, oder probieren Sie die Föderation nur auf diesem Rechner aus.</translation>
    </message>
    <message>
        <source>This computer knows itself by other addresses: {known}. This one is fine if your network leads it here.</source>
        <translation>Dieser Rechner kennt sich nicht unter diesem Namen. Das ist in Ordnung, wenn Ihr Netz den Namen hierher leitet: {known}.</translation>
    </message>
    <message>
        <source>This computer only</source>
        <translation>Nur dieser Rechner</translation>
    </message>
    <message>
        <source>This computer serves {federation}. Stop that first, to be a host of another federation.</source>
        <translation>Auf diesem Rechner läuft {federation}. Halten Sie diese zuerst an, um eine andere Föderation zu betreiben.</translation>
    </message>
    <message>
        <source>This computer stays awake while it trains.</source>
        <translation>Dieser Rechner bleibt wach, solange er trainiert.</translation>
    </message>
    <message>
        <source>This covers the adapter alone: the numbers beside it are exact.</source>
        <translation>Das gilt nur für den Adapter: Die Zahlen daneben sind exakt.</translation>
    </message>
    <message>
        <source>This entry is not as it was written, or the one before it is missing. What it says may be false.</source>
        <translation>Dieser Eintrag ist nicht so, wie er geschrieben wurde, oder der vorige fehlt. Was er sagt, kann falsch sein.</translation>
    </message>
    <message>
        <source>This file is not a types map.</source>
        <translation>Diese Datei ist keine Typenzuordnung.</translation>
    </message>
    <message>
        <source>This is everything in it: no notes, no keys, no passwords, no names of files. It is saved on this computer, and is sent nowhere.</source>
        <translation>Das ist der ganze Inhalt: keine Texte, keine Schlüssel, keine Passwörter, keine Dateinamen. Das Paket wird auf diesem Rechner gespeichert und geht von selbst nirgendwohin.</translation>
    </message>
    <message>
        <source>This is not a folder of notes, or some of them are missing.</source>
        <translation>Das ist kein Ordner mit Texten, oder einige davon fehlen.</translation>
    </message>
    <message>
        <source>This is not the folder of a language model.</source>
        <translation>Das ist nicht der Ordner eines Sprachmodells.</translation>
    </message>
    <message>
        <source>This language model is damaged.</source>
        <translation>Dieses Sprachmodell ist beschädigt.</translation>
    </message>
    <message>
        <source>This method measures updates on notes that all sites may read. None may be a patient&apos;s.</source>
        <translation>Diese Methode misst Updates an Notizen, die alle Standorte lesen dürfen. Keine darf von einem Patienten sein.</translation>
    </message>
    <message>
        <source>This method shares numbers that noise does not protect. Choose another one, or leave this empty.</source>
        <translation>Diese Methode gibt Zahlen weiter, die das Rauschen nicht schützt. Wählen Sie eine andere, oder lassen Sie dies leer.</translation>
    </message>
    <message>
        <source>This round failed here</source>
        <translation>Diese Runde ist hier fehlgeschlagen</translation>
    </message>
    <message>
        <source>This side could not be read.</source>
        <translation>Diese Seite konnte nicht gelesen werden.</translation>
    </message>
    <message>
        <source>This site has already used it, and needs no new one.</source>
        <translation>Sie wurde schon verwendet; dieser Standort braucht keine neue.</translation>
    </message>
    <message>
        <source>This site is connected, and takes part as soon as the host confirms it. Nothing has left this computer.</source>
        <translation>Dieser Standort ist verbunden und nimmt teil, sobald der Betreiber ihn bestätigt. Nichts hat diesen Rechner verlassen.</translation>
    </message>
    <message>
        <source>This site no longer answers the coordinator. What it holds stays on this computer, and it can join again with the same folder.</source>
        <translation>Dieser Standort antwortet dem Koordinator nicht mehr. Was er hat, bleibt auf diesem Rechner, und mit demselben Ordner kann er wieder beitreten.</translation>
    </message>
    <message>
        <source>This site takes part again in the next round.</source>
        <translation>Dieser Standort nimmt in der nächsten Runde wieder teil.</translation>
    </message>
    <message>
        <source>This site tries again by itself.</source>
        <translation>Dieser Standort versucht es von selbst erneut.</translation>
    </message>
    <message>
        <source>This site&apos;s model, {when}</source>
        <translation>Modell dieses Standorts, {when}</translation>
    </message>
    <message>
        <source>This site&apos;s name there</source>
        <translation>Name dieses Standorts dort</translation>
    </message>
    <message>
        <source>This site&apos;s notes are much like the federation&apos;s.</source>
        <translation>Die Texte dieses Standorts sind denen der Föderation sehr ähnlich.</translation>
    </message>
    <message>
        <source>This takes some seconds.</source>
        <translation>Das dauert einige Sekunden.</translation>
    </message>
    <message>
        <source>This update is {times:.1f} times as large as your last one. An error in the notes or a learning rate that is too high can cause this.</source>
        <translation>Dieser Beitrag ist {times:.1f}-mal so groß wie Ihr letzter. Ein Fehler in den Texten oder eine zu hohe Lernrate kann das verursachen.</translation>
    </message>
    <message>
        <source>Three invented sites train together on this computer, with bundled notes. You approve for one of them.</source>
        <translation>Drei erfundene Standorte trainieren auf diesem Rechner gemeinsam, mit mitgelieferten Texten. Für einen davon geben Sie frei.</translation>
    </message>
    <message>
        <source>Three sites learn together on this computer, from example notes that come with the program. You decide about the updates of one of them. It takes about {minutes} minutes in all; your first decision comes after about {first}.</source>
        <translation>Drei Standorte lernen auf diesem Rechner gemeinsam, aus Beispieltexten, die dem Programm beiliegen. Sie entscheiden über die Beiträge eines davon. Das Ganze dauert etwa {minutes} Minuten; Ihre erste Entscheidung kommt nach etwa {first}.</translation>
    </message>
    <message>
        <source>Thursday</source>
        <translation>Donnerstag</translation>
    </message>
    <message>
        <source>Tick what you have seen above; then it can be sent.</source>
        <translation>Haken Sie oben ab, was Sie gesehen haben; dann kann gesendet werden.</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Zeit</translation>
    </message>
    <message>
        <source>To</source>
        <translation>An</translation>
    </message>
    <message>
        <source>To let it back in, invite it again.</source>
        <translation>Um ihn wieder hereinzulassen, laden Sie ihn noch einmal ein.</translation>
    </message>
    <message>
        <source>To score rounds with</source>
        <translation>Zum Bewerten der Runden</translation>
    </message>
    <message>
        <source>To test with</source>
        <translation>Zum Testen</translation>
    </message>
    <message>
        <source>To train on</source>
        <translation>Zum Trainieren</translation>
    </message>
    <message>
        <source>Tokens/s</source>
        <translation>Tokens/s</translation>
    </message>
    <message>
        <source>Too few notes were trained on or held out.</source>
        <translation>Es waren zu wenige Texte im Training, oder zu wenige wurden zurückgehalten.</translation>
    </message>
    <message>
        <source>Too few sites sent an adapter in this round. Its host can resume it; there is nothing to do here.</source>
        <translation>In dieser Runde haben zu wenige Standorte einen Adapter gesendet. Der Betreiber kann die Föderation fortsetzen; hier ist nichts zu tun.</translation>
    </message>
    <message>
        <source>Too few to tell.</source>
        <translation>Zu wenige, um es zu sagen.</translation>
    </message>
    <message>
        <source>Train</source>
        <translation>Trainieren</translation>
    </message>
    <message>
        <source>Train longer, for better scores (about {minutes} minutes)</source>
        <translation>Länger trainieren, für bessere Ergebnisse (etwa {minutes} Minuten)</translation>
    </message>
    <message>
        <source>Trained on public texts</source>
        <translation>Mit öffentlichen Texten trainiert</translation>
    </message>
    <message>
        <source>Training</source>
        <translation>Training läuft</translation>
    </message>
    <message>
        <source>Training ended</source>
        <translation>Training beendet</translation>
    </message>
    <message>
        <source>Training has just begun</source>
        <translation>Das Training hat gerade erst begonnen</translation>
    </message>
    <message>
        <source>Training has stopped at its current step. If the round closes meanwhile, it closes without you.</source>
        <translation>Das Training hat beim laufenden Schritt angehalten. Endet die Runde inzwischen, dann endet sie ohne Sie.</translation>
    </message>
    <message>
        <source>Training is drawn here as soon as it starts on {notes}.</source>
        <translation>Wie das Training verläuft, wird hier gezeichnet, sobald es auf {notes} beginnt.</translation>
    </message>
    <message>
        <source>Training is drawn here once this computer takes part in a federation.</source>
        <translation>Wie das Training verläuft, wird hier gezeichnet, sobald dieser Rechner an einer Föderation teilnimmt.</translation>
    </message>
    <message>
        <source>Training is going well: errors are falling</source>
        <translation>Das Training läuft gut: Die Fehler werden weniger</translation>
    </message>
    <message>
        <source>Training is steady: errors stay about the same</source>
        <translation>Das Training läuft gleichmäßig: Die Fehler bleiben etwa gleich</translation>
    </message>
    <message>
        <source>Training loss</source>
        <translation>Trainingsverlust</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: it had {before} of 100 points before, and has {after} now.</source>
        <translation>Das Training hat ihn auf {notes} verschlechtert: Vorher hatte er {before} von 100 Punkten, jetzt {after}.</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: of 100 it found {before} correctly before, and {after} after.</source>
        <translation>Das Training hat ihn auf {notes} verschlechtert: Von 100 fand er vorher {before} richtig, danach {after}.</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: {tasks}.</source>
        <translation>Das Training hat ihn auf {notes} verschlechtert: {tasks}.</translation>
    </message>
    <message>
        <source>Training needs a look: errors are rising</source>
        <translation>Das Training sollte angesehen werden: Die Fehler nehmen zu</translation>
    </message>
    <message>
        <source>Training needs a look: errors on notes kept aside are rising</source>
        <translation>Das Training sollte angesehen werden: Die Fehler auf zurückgehaltenen Texten nehmen zu</translation>
    </message>
    <message>
        <source>Training notes by specialty</source>
        <translation>Trainingstexte nach Fachgebiet</translation>
    </message>
    <message>
        <source>Training on the processor takes all cores but one, so that the computer stays usable for other work. Where a GPU&apos;s memory is too small, training continues by itself with less at once.</source>
        <translation>Das Training auf dem Prozessor nutzt alle Kerne bis auf einen, damit der Rechner sonst benutzbar bleibt. Wo der Speicher einer GPU zu klein ist, geht das Training von selbst mit weniger auf einmal weiter.</translation>
    </message>
    <message>
        <source>Training started</source>
        <translation>Training begonnen</translation>
    </message>
    <message>
        <source>Training stops at its current step, is saved, and continues when you open the program again.</source>
        <translation>Das Training hält beim laufenden Schritt an, wird gespeichert und geht weiter, wenn Sie das Programm wieder öffnen.</translation>
    </message>
    <message>
        <source>Try a model</source>
        <translation>Ein Modell ausprobieren</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Ausprobieren</translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation>An einem Text ausprobieren</translation>
    </message>
    <message>
        <source>Tuesday</source>
        <translation>Dienstag</translation>
    </message>
    <message>
        <source>Two different people must approve.</source>
        <translation>Zwei verschiedene Personen müssen freigeben.</translation>
    </message>
    <message>
        <source>Types</source>
        <translation>Typen</translation>
    </message>
    <message>
        <source>Types of entities</source>
        <translation>Typen von Entitäten</translation>
    </message>
    <message>
        <source>Until then you can take it back.</source>
        <translation>Bis dahin können Sie die Freigabe zurücknehmen.</translation>
    </message>
    <message>
        <source>Update accepted</source>
        <translation>Beitrag angenommen</translation>
    </message>
    <message>
        <source>Update flagged as unusual</source>
        <translation>Beitrag als ungewöhnlich gemeldet</translation>
    </message>
    <message>
        <source>Update norm</source>
        <translation>Norm des Beitrags</translation>
    </message>
    <message>
        <source>Update refused</source>
        <translation>Beitrag abgelehnt</translation>
    </message>
    <message>
        <source>Updates leave only at these times: {hours}.</source>
        <translation>Beiträge gehen nur zu diesen Zeiten hinaus: {hours}.</translation>
    </message>
    <message>
        <source>Upload</source>
        <translation>Hochladen</translation>
    </message>
    <message>
        <source>Upload started</source>
        <translation>Hochladen begonnen</translation>
    </message>
    <message>
        <source>Uploading</source>
        <translation>Wird hochgeladen</translation>
    </message>
    <message>
        <source>Valid until {date}.</source>
        <translation>Gültig bis {date}.</translation>
    </message>
    <message>
        <source>Validation loss</source>
        <translation>Validierungsverlust</translation>
    </message>
    <message>
        <source>Values cut off</source>
        <translation>Abgeschnittene Werte</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Version</translation>
    </message>
    <message>
        <source>Versions</source>
        <translation>Versionen</translation>
    </message>
    <message>
        <source>Wait for more sites</source>
        <translation>Auf weitere Standorte warten</translation>
    </message>
    <message>
        <source>Wait no longer for scores?</source>
        <translation>Nicht länger auf Scores warten?</translation>
    </message>
    <message>
        <source>Wait until you have compared six words</source>
        <translation>Warten, bis Sie sechs Wörter verglichen haben</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>Wartet</translation>
    </message>
    <message>
        <source>Waiting for its decision</source>
        <translation>Entscheidet gerade</translation>
    </message>
    <message>
        <source>Waiting for its turn</source>
        <translation>Noch nicht an der Reihe</translation>
    </message>
    <message>
        <source>Waiting for others</source>
        <translation>Wartet auf andere</translation>
    </message>
    <message>
        <source>Waiting for sites</source>
        <translation>Wartet auf Standorte</translation>
    </message>
    <message>
        <source>Waiting for the coordinator; nothing has left yet. It can no longer be taken back.</source>
        <translation>Es wird auf den Koordinator gewartet; noch ist nichts hinausgegangen. Die Freigabe lässt sich nicht mehr zurücknehmen.</translation>
    </message>
    <message>
        <source>Waiting for the first site</source>
        <translation>Es wird auf den ersten Standort gewartet</translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation>Wartet auf den ersten Schritt</translation>
    </message>
    <message>
        <source>Waiting for the host</source>
        <translation>Wartet auf den Betreiber</translation>
    </message>
    <message>
        <source>Waiting for the host to confirm this site</source>
        <translation>Wartet, bis der Betreiber diesen Standort bestätigt</translation>
    </message>
    <message>
        <source>Waiting for the next round</source>
        <translation>Wartet auf die nächste Runde</translation>
    </message>
    <message>
        <source>Waiting for the round</source>
        <translation>Wartet auf die Runde</translation>
    </message>
    <message>
        <source>Waiting for you to confirm it</source>
        <translation>Wartet auf Ihre Bestätigung</translation>
    </message>
    <message>
        <source>Waiting for your approval</source>
        <translation>Wartet auf Ihre Freigabe</translation>
    </message>
    <message>
        <source>Waiting for your decision</source>
        <translation>Wartet auf Ihre Entscheidung</translation>
    </message>
    <message>
        <source>Waiting to be confirmed</source>
        <translation>Wartet auf Bestätigung</translation>
    </message>
    <message>
        <source>Waits until {time}</source>
        <translation>Wartet bis {time}</translation>
    </message>
    <message>
        <source>Wednesday</source>
        <translation>Mittwoch</translation>
    </message>
    <message>
        <source>Welcome. What would you like to do?</source>
        <translation>Willkommen. Was möchten Sie tun?</translation>
    </message>
    <message>
        <source>What</source>
        <translation>Was</translation>
    </message>
    <message>
        <source>What an adapter may reveal must be rated &quot;{light}&quot; or better.</source>
        <translation>Was ein Adapter preisgeben kann, muss „{light}“ oder besser bewertet sein.</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>Zweck</translation>
    </message>
    <message>
        <source>What has been done so far is kept.</source>
        <translation>Was bisher geschehen ist, bleibt erhalten.</translation>
    </message>
    <message>
        <source>What identifies it</source>
        <translation>Woran man es erkennt</translation>
    </message>
    <message>
        <source>What is measured here is your adapter by itself. The sum can still reveal something about the notes.</source>
        <translation>Gemessen wird hier Ihr Adapter für sich. Die Summe kann trotzdem etwas über die Texte verraten.</translation>
    </message>
    <message>
        <source>What it can train</source>
        <translation>Was er trainieren kann</translation>
    </message>
    <message>
        <source>What it has learned from your notes so far is not kept. You can start it again at any time.</source>
        <translation>Was es bisher aus Ihren Texten gelernt hat, wird nicht behalten. Sie können es jederzeit neu starten.</translation>
    </message>
    <message>
        <source>What it has, and what that suffices for. Nothing is sent.</source>
        <translation>Was er hat, und wofür das reicht. Nichts wird gesendet.</translation>
    </message>
    <message>
        <source>What it may reveal</source>
        <translation>Was er verraten kann</translation>
    </message>
    <message>
        <source>What it protects</source>
        <translation>Was es schützt</translation>
    </message>
    <message>
        <source>What it shows</source>
        <translation>Was es zeigt</translation>
    </message>
    <message>
        <source>What leaves</source>
        <translation>Was hinausgeht</translation>
    </message>
    <message>
        <source>What rounding took from your earlier updates leaves with this one; what it takes now stays for the next.</source>
        <translation>Was das Runden von Ihren früheren Beiträgen weggenommen hat, geht mit diesem hinaus; was es jetzt wegnimmt, bleibt für den nächsten.</translation>
    </message>
    <message>
        <source>What was tried here found nothing in this adapter. That is no proof that there is nothing.</source>
        <translation>Was hier versucht wurde, fand in diesem Adapter nichts. Das beweist nicht, dass nichts da ist.</translation>
    </message>
    <message>
        <source>What you see below is from before the connection was lost.</source>
        <translation>Was unten steht, ist von vorher.</translation>
    </message>
    <message>
        <source>When</source>
        <translation>Wann</translation>
    </message>
    <message>
        <source>Where several files set the same limit, the strictest applies.</source>
        <translation>Wo mehrere Dateien dasselbe regeln, gilt die strengste.</translation>
    </message>
    <message>
        <source>Which notes were used</source>
        <translation>Welche Texte verwendet wurden</translation>
    </message>
    <message>
        <source>While this program is closed, nobody is notified.</source>
        <translation>Solange dieses Programm geschlossen ist, erfährt niemand davon.</translation>
    </message>
    <message>
        <source>Who</source>
        <translation>Wer</translation>
    </message>
    <message>
        <source>Who can reach it</source>
        <translation>Wer ihn erreichen kann</translation>
    </message>
    <message>
        <source>With an adapter, what it finds is shown here, beside the model.</source>
        <translation>Mit einem Adapter wird hier gezeigt, was er findet, neben dem Modell.</translation>
    </message>
    <message>
        <source>With one document or patient there are no intervals.</source>
        <translation>Bei nur einem Dokument oder Patienten gibt es keine Intervalle.</translation>
    </message>
    <message>
        <source>With one seed there is no interval: it is not known how much another seed would change.</source>
        <translation>Bei nur einem Seed gibt es kein Intervall: Wie viel ein anderer Seed ändern würde, ist nicht bekannt.</translation>
    </message>
    <message>
        <source>With {names} each site is scored with the part that it keeps; otherwise one model is scored at all sites.</source>
        <translation>Bei {names} wird jeder Standort mit dem Teil bewertet, den er behält; sonst wird ein einziges Modell an allen Standorten bewertet.</translation>
    </message>
    <message>
        <source>Withdrawal of an approval</source>
        <translation>Rücknahme einer Freigabe</translation>
    </message>
    <message>
        <source>Without a map:</source>
        <translation>Ohne Zuordnung:</translation>
    </message>
    <message>
        <source>Without labels</source>
        <translation>Ohne Annotationen</translation>
    </message>
    <message>
        <source>Word for word</source>
        <translation>Wort für Wort</translation>
    </message>
    <message>
        <source>Word pairs shared</source>
        <translation>Gleiche Wortpaare</translation>
    </message>
    <message>
        <source>Word parts in a row, beyond the model without this round: at most {beyond}; on held-out notes {usual}. In {share:.0%} of {trained} notes ({low:.0%} to {high:.0%}) there were {run} or more.</source>
        <translation>Wortteile hintereinander, mehr als beim Modell ohne diese Runde: höchstens {beyond}; bei zurückgehaltenen Texten {usual}. In {share:.0%} von {trained} Texten ({low:.0%} bis {high:.0%}) waren es {run} oder mehr.</translation>
    </message>
    <message>
        <source>Words of your own, separated by commas. Each site says which of its types is which of these.</source>
        <translation>Eigene Wörter, durch Kommas getrennt. Jeder Standort sagt, welcher seiner Typen welcher von diesen ist.</translation>
    </message>
    <message>
        <source>Words shared</source>
        <translation>Gemeinsame Wörter</translation>
    </message>
    <message>
        <source>Words that all these sites see</source>
        <translation>Wörter aller Standorte</translation>
    </message>
    <message>
        <source>Worse on {notes}, fairly sure</source>
        <translation>Schlechter auf {notes}, ziemlich sicher</translation>
    </message>
    <message>
        <source>Worse than alone</source>
        <translation>Schlechter als allein</translation>
    </message>
    <message>
        <source>Worse than alone counts the sites of all seeds whose loss is above that of training alone.</source>
        <translation>„Schlechter als allein“ zählt über alle Seeds die Standorte, deren Verlust höher ist als beim Training allein.</translation>
    </message>
    <message>
        <source>Worse than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then</source>
        <translation>Schlechter als {earlier} nach ebenso vielen Runden ({rounds}): {now} von 100 richtig gefunden, damals {then}</translation>
    </message>
    <message>
        <source>Worst site</source>
        <translation>Schlechtester Standort</translation>
    </message>
    <message>
        <source>Worst site&apos;s F1</source>
        <translation>F1 des schlechtesten Standorts</translation>
    </message>
    <message>
        <source>Worst site&apos;s mean of tasks</source>
        <translation>Mittel der Aufgaben des schlechtesten Standorts</translation>
    </message>
    <message>
        <source>Write a reason first, for the people who read this record later.</source>
        <translation>Tragen Sie zuerst einen Grund ein, für alle, die dieses Protokoll später lesen.</translation>
    </message>
    <message>
        <source>Write your name first, for the people who read this record later.</source>
        <translation>Tragen Sie zuerst Ihren Namen ein, für alle, die dieses Protokoll später lesen.</translation>
    </message>
    <message>
        <source>Written before it was done, so that nothing happens without a trace.</source>
        <translation>Geschrieben, bevor es getan wurde, damit nichts spurlos geschieht.</translation>
    </message>
    <message>
        <source>Written on {time} UTC. Times below are UTC. Paper proves nothing by itself: a signed export does.</source>
        <translation>Geschrieben am {time} UTC. Zeiten unten sind UTC. Papier beweist für sich nichts; ein signierter Export schon.</translation>
    </message>
    <message>
        <source>Written once it was done.</source>
        <translation>Geschrieben, nachdem es getan war.</translation>
    </message>
    <message>
        <source>Yes</source>
        <translation>Ja</translation>
    </message>
    <message>
        <source>You approved it</source>
        <translation>Sie haben ihn freigegeben</translation>
    </message>
    <message>
        <source>You can choose it under Try it, and save it from there.</source>
        <translation>Sie können es unter Ausprobieren wählen und von dort speichern.</translation>
    </message>
    <message>
        <source>You confirm that you have looked through all entries up to number {number}.</source>
        <translation>Sie erklären, dass Sie alle Einträge bis Nummer {number} durchgesehen haben.</translation>
    </message>
    <message>
        <source>You decided not to send this one. Waiting for the next round.</source>
        <translation>Sie haben entschieden, diesen nicht zu senden. Es wird auf die nächste Runde gewartet.</translation>
    </message>
    <message>
        <source>You found no difference.</source>
        <translation>Sie haben keinen Unterschied gefunden.</translation>
    </message>
    <message>
        <source>You have an invitation, and notes that may be learned from. They stay on this computer.</source>
        <translation>Sie haben eine Einladung und Texte, aus denen gelernt werden darf. Die Texte bleiben auf diesem Rechner.</translation>
    </message>
    <message>
        <source>You paused the work</source>
        <translation>Sie haben die Arbeit pausiert</translation>
    </message>
    <message>
        <source>You preferred {name}.</source>
        <translation>Sie fanden besser: {name}.</translation>
    </message>
    <message>
        <source>Your agreement</source>
        <translation>Ihre Zustimmung</translation>
    </message>
    <message>
        <source>Your approval</source>
        <translation>Ihre Freigabe</translation>
    </message>
    <message>
        <source>Your approval is taken back, and you are asked again at the next start.</source>
        <translation>Ihre Freigabe ist zurückgenommen, und beim nächsten Start werden Sie erneut gefragt.</translation>
    </message>
    <message>
        <source>Your approval was taken back because the program closed.</source>
        <translation>Ihre Freigabe wurde zurückgenommen, weil das Programm geschlossen wurde.</translation>
    </message>
    <message>
        <source>Your approval was taken back because the work was stopped.</source>
        <translation>Ihre Freigabe wurde zurückgenommen, weil die Arbeit angehalten wurde.</translation>
    </message>
    <message>
        <source>Your correction (control variate): its change in this round leaves, and all these changes add up to it.</source>
        <translation>Ihre Korrektur (Kontrollvariate): Hinaus geht, wie sie sich in dieser Runde ändert; alle diese Änderungen zusammen ergeben die Korrektur.</translation>
    </message>
    <message>
        <source>Your decision is being recorded.</source>
        <translation>Ihre Entscheidung wird aufgezeichnet.</translation>
    </message>
    <message>
        <source>Your firewall must let sites connect to it.</source>
        <translation>Ihre Firewall muss Standorte dort einlassen.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for a person ({rule}).</source>
        <translation>Die Richtlinie Ihres Krankenhauses verlangt eine Person ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for no more than this program does ({rule}).</source>
        <translation>Die Richtlinie Ihres Krankenhauses verlangt nicht mehr, als dieses Programm tut ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}).</source>
        <translation>Die Richtlinie Ihres Krankenhauses verlangt zwei Personen ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}): {name} has approved, and another must as well.</source>
        <translation>Die Richtlinie Ihres Krankenhauses verlangt zwei Personen ({rule}): {name} hat freigegeben, und eine weitere Person muss es auch tun.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy does not let it leave ({rule}).</source>
        <translation>Die Richtlinie Ihres Krankenhauses lässt ihn nicht hinaus ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours).</source>
        <translation>Die Richtlinie Ihres Krankenhauses lässt vor {time} nichts hinaus (hours).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours). You can take it back until then.</source>
        <translation>Die Richtlinie Ihres Krankenhauses lässt vor {time} nichts hinaus (hours). Bis dahin können Sie die Freigabe zurücknehmen.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets only {names} approve ({rule}).</source>
        <translation>Nach der Richtlinie Ihres Krankenhauses dürfen nur {names} freigeben ({rule}).</translation>
    </message>
    <message>
        <source>Your invitation</source>
        <translation>Ihre Einladung</translation>
    </message>
    <message>
        <source>Your name there</source>
        <translation>Ihr Name dort</translation>
    </message>
    <message>
        <source>Your notes</source>
        <translation>Ihre Texte</translation>
    </message>
    <message>
        <source>Your notes beside others&apos;</source>
        <translation>Ihre Texte neben denen der anderen</translation>
    </message>
    <message>
        <source>Your notes hold none that the check of notes would find.</source>
        <translation>Ihre Texte enthalten keine, die die Prüfung der Texte finden würde.</translation>
    </message>
    <message>
        <source>Your part</source>
        <translation>Ihr Teil</translation>
    </message>
    <message>
        <source>Your part is done</source>
        <translation>Ihr Teil ist erledigt</translation>
    </message>
    <message>
        <source>Your personal adapter: no byte of it is in this update.</source>
        <translation>Ihr persönlicher Adapter: Kein Byte davon ist in diesem Beitrag.</translation>
    </message>
    <message>
        <source>Your reason</source>
        <translation>Ihr Grund</translation>
    </message>
    <message>
        <source>Your system tells you of these while the window is not in front. They never hold text of a note.</source>
        <translation>Ihr System meldet Ihnen Folgendes, solange das Fenster nicht im Vordergrund ist. Die Meldungen enthalten nie Wortlaut aus den Texten.</translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than allowed, so it was shortened.</source>
        <translation>Ihr Beitrag aus Runde {round} hat das Modell stärker verändert als erlaubt; deshalb wurde er gekürzt.</translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than updates usually do. It counted as it is.</source>
        <translation>Ihr Beitrag aus Runde {round} hat das Modell stärker verändert, als Beiträge es sonst tun. Er zählte unverändert.</translation>
    </message>
    <message>
        <source>Your update of round {round} points away from the others&apos;. It counted all the same.</source>
        <translation>Ihr Beitrag aus Runde {round} weist in eine andere Richtung als die übrigen. Er zählte trotzdem.</translation>
    </message>
    <message>
        <source>Your update of round {round} was not combined: others were nearer to one another.</source>
        <translation>Ihr Beitrag aus Runde {round} wurde nicht einbezogen: Andere lagen näher beieinander.</translation>
    </message>
    <message>
        <source>a person must approve</source>
        <translation>nur mit Freigabe durch eine Person</translation>
    </message>
    <message>
        <source>a rule</source>
        <translation>eine Regel</translation>
    </message>
    <message>
        <source>a test environment</source>
        <translation>eine Testumgebung</translation>
    </message>
    <message>
        <source>a test: its results do not count</source>
        <translation>ein Test: Die Ergebnisse zählen nicht</translation>
    </message>
    <message>
        <source>a trained adapter of rank {rank}</source>
        <translation>ein trainierter Adapter vom Rang {rank}</translation>
    </message>
    <message>
        <source>about {time}</source>
        <translation>etwa {time}</translation>
    </message>
    <message>
        <source>adapter</source>
        <translation>Adapter</translation>
    </message>
    <message>
        <source>adapter after training</source>
        <translation>Adapter nach dem Training</translation>
    </message>
    <message>
        <source>addresses</source>
        <translation>Adressen</translation>
    </message>
    <message>
        <source>after the first site</source>
        <translation>nach dem ersten Standort</translation>
    </message>
    <message>
        <source>after the opening</source>
        <translation>nach der Eröffnung</translation>
    </message>
    <message>
        <source>after the question</source>
        <translation>nach der Anfrage</translation>
    </message>
    <message>
        <source>after training</source>
        <translation>nach dem Training</translation>
    </message>
    <message>
        <source>alike</source>
        <translation>ähnlich</translation>
    </message>
    <message>
        <source>all sites&apos; test notes</source>
        <translation>Testtexten aller Standorte</translation>
    </message>
    <message>
        <source>an adapter was trained</source>
        <translation>ein Adapter trainiert wurde</translation>
    </message>
    <message>
        <source>and {n} more</source>
        <translation>und {n} weitere</translation>
    </message>
    <message>
        <source>another type on the other side</source>
        <translation>anderer Typ auf der anderen Seite</translation>
    </message>
    <message>
        <source>approved</source>
        <translation>freigegeben</translation>
    </message>
    <message>
        <source>as combined drift was {drift}</source>
        <translation>da die Gesamtdrift {drift} betrug</translation>
    </message>
    <message>
        <source>as combined drift was {drift}, above {level:g}</source>
        <translation>da die Gesamtdrift {drift} betrug, über {level:g}</translation>
    </message>
    <message>
        <source>as combined drift was {drift}, below {level:g}</source>
        <translation>da die Gesamtdrift {drift} betrug, unter {level:g}</translation>
    </message>
    <message>
        <source>as the method plans</source>
        <translation>wie die Methode es plant</translation>
    </message>
    <message>
        <source>as usual</source>
        <translation>wie üblich</translation>
    </message>
    <message>
        <source>attempt {number}</source>
        <translation>Versuch {number}</translation>
    </message>
    <message>
        <source>before training</source>
        <translation>vor dem Training</translation>
    </message>
    <message>
        <source>better</source>
        <translation>besser</translation>
    </message>
    <message>
        <source>bytes of {part}</source>
        <translation>Bytes: {part}</translation>
    </message>
    <message>
        <source>change of the correction (control variate)</source>
        <translation>Änderung der Korrektur (Kontrollvariate)</translation>
    </message>
    <message>
        <source>changed</source>
        <translation>geändert</translation>
    </message>
    <message>
        <source>chosen</source>
        <translation>gewählt</translation>
    </message>
    <message>
        <source>closes now</source>
        <translation>endet jetzt</translation>
    </message>
    <message>
        <source>closes {time}</source>
        <translation>endet {time}</translation>
    </message>
    <message>
        <source>closes {time}, in {left}</source>
        <translation>endet {time}, in {left}</translation>
    </message>
    <message>
        <source>combined</source>
        <translation>gesamt</translation>
    </message>
    <message>
        <source>coordinator</source>
        <translation>den Koordinator</translation>
    </message>
    <message>
        <source>count of {name}</source>
        <translation>Anzahl: {name}</translation>
    </message>
    <message>
        <source>dates of birth</source>
        <translation>Geburtsdaten</translation>
    </message>
    <message>
        <source>difference, 16 bits</source>
        <translation>Differenz, 16 Bit</translation>
    </message>
    <message>
        <source>difference, 4 bits</source>
        <translation>Differenz, 4 Bit</translation>
    </message>
    <message>
        <source>difference, 8 bits</source>
        <translation>Differenz, 8 Bit</translation>
    </message>
    <message>
        <source>e-mail addresses</source>
        <translation>E-Mail-Adressen</translation>
    </message>
    <message>
        <source>earlier</source>
        <translation>früher</translation>
    </message>
    <message>
        <source>earlier, model</source>
        <translation>früher, Modell</translation>
    </message>
    <message>
        <source>earlier, validation</source>
        <translation>früher, Validierung</translation>
    </message>
    <message>
        <source>entities of type {name}</source>
        <translation>Entitäten vom Typ {name}</translation>
    </message>
    <message>
        <source>entry of this record</source>
        <translation>Eintrag dieses Protokolls</translation>
    </message>
    <message>
        <source>epsilon {epsilon} of each whole site (delta {delta}), noise {noise} x clip {clip}, added by the {who}</source>
        <translation>Epsilon {epsilon} für jeden ganzen Standort (Delta {delta}), Rauschen {noise} x Schranke {clip}, addiert durch {who}</translation>
    </message>
    <message>
        <source>evaluate</source>
        <translation>auswerten</translation>
    </message>
    <message>
        <source>example notes</source>
        <translation>Beispieltexten</translation>
    </message>
    <message>
        <source>factor {factor} only, {size}</source>
        <translation>nur Faktor {factor}, {size}</translation>
    </message>
    <message>
        <source>falling</source>
        <translation>fallend</translation>
    </message>
    <message>
        <source>federation</source>
        <translation>Föderation</translation>
    </message>
    <message>
        <source>fedmed-desktop {version}. Research software under the Apache License 2.0. Not a medical device; it makes no medical claims.</source>
        <translation>fedmed-desktop {version}. Forschungssoftware unter der Apache License 2.0. Kein Medizinprodukt; sie erhebt keinen medizinischen Anspruch.</translation>
    </message>
    <message>
        <source>file</source>
        <translation>Datei</translation>
    </message>
    <message>
        <source>final</source>
        <translation>endgültig</translation>
    </message>
    <message>
        <source>final adapter</source>
        <translation>endgültiger Adapter</translation>
    </message>
    <message>
        <source>first round: nothing to compare with yet</source>
        <translation>erste Runde: noch nichts zum Vergleichen</translation>
    </message>
    <message>
        <source>first token after {time}</source>
        <translation>erstes Token nach {time}</translation>
    </message>
    <message>
        <source>higher</source>
        <translation>höher</translation>
    </message>
    <message>
        <source>host</source>
        <translation>Betreiber</translation>
    </message>
    <message>
        <source>how many entities of each type your training notes have</source>
        <translation>wie viele Entitäten jedes Typs Ihre Trainingstexte haben</translation>
    </message>
    <message>
        <source>how many notes it was trained on, and how large the errors were (loss)</source>
        <translation>mit wie vielen Texten er trainiert wurde und wie groß die Fehler waren (Verlust)</translation>
    </message>
    <message>
        <source>how many of your training notes are of each specialty</source>
        <translation>wie viele Ihrer Trainingstexte zu jedem Fachgebiet gehören</translation>
    </message>
    <message>
        <source>how much each part of the adapter mattered in training (one number for each matrix)</source>
        <translation>wie wichtig jeder Teil des Adapters im Training war (eine Zahl je Matrix)</translation>
    </message>
    <message>
        <source>how much the model finds correctly in your notes (scores)</source>
        <translation>wie viel das Modell in Ihren Texten richtig findet (Scores)</translation>
    </message>
    <message>
        <source>if {conditions}, </source>
        <translation>wenn {conditions}, dann </translation>
    </message>
    <message>
        <source>ignored</source>
        <translation>nicht beachtet</translation>
    </message>
    <message>
        <source>importance of {name}, by layer</source>
        <translation>Wichtigkeit von {name}, nach Schicht</translation>
    </message>
    <message>
        <source>invitation</source>
        <translation>Einladung</translation>
    </message>
    <message>
        <source>it may not leave</source>
        <translation>Hinausgehen nicht erlaubt</translation>
    </message>
    <message>
        <source>its loss on the federation&apos;s public notes</source>
        <translation>sein Verlust auf den öffentlichen Texten der Föderation</translation>
    </message>
    <message>
        <source>kept</source>
        <translation>behalten</translation>
    </message>
    <message>
        <source>kept at this site</source>
        <translation>an diesem Standort behalten</translation>
    </message>
    <message>
        <source>key</source>
        <translation>Schlüssel</translation>
    </message>
    <message>
        <source>large</source>
        <translation>groß</translation>
    </message>
    <message>
        <source>less than a minute</source>
        <translation>unter 1 Minute</translation>
    </message>
    <message>
        <source>look twice</source>
        <translation>genauer ansehen</translation>
    </message>
    <message>
        <source>looks for {types}</source>
        <translation>sucht nach {types}</translation>
    </message>
    <message>
        <source>loss on shared notes</source>
        <translation>Verlust auf gemeinsamen Texten</translation>
    </message>
    <message>
        <source>loss {value:.2f}</source>
        <translation>Verlust {value:.2f}</translation>
    </message>
    <message>
        <source>lower</source>
        <translation>niedriger</translation>
    </message>
    <message>
        <source>lowered in round {round}: {before} to {after}</source>
        <translation>gesenkt in Runde {round}: von {before} auf {after}</translation>
    </message>
    <message>
        <source>masked adapter</source>
        <translation>maskierter Adapter</translation>
    </message>
    <message>
        <source>model</source>
        <translation>Modell</translation>
    </message>
    <message>
        <source>names in headers</source>
        <translation>Namen in Kopfzeilen</translation>
    </message>
    <message>
        <source>never sent</source>
        <translation>nie gesendet</translation>
    </message>
    <message>
        <source>no difference shown</source>
        <translation>kein Unterschied gezeigt</translation>
    </message>
    <message>
        <source>no entities</source>
        <translation>keine Entitäten</translation>
    </message>
    <message>
        <source>no more than this program asks for by itself</source>
        <translation>nicht mehr, als dieses Programm von selbst verlangt</translation>
    </message>
    <message>
        <source>no name</source>
        <translation>keinen Namen</translation>
    </message>
    <message>
        <source>nobody</source>
        <translation>niemand</translation>
    </message>
    <message>
        <source>nobody in time</source>
        <translation>niemand rechtzeitig</translation>
    </message>
    <message>
        <source>none</source>
        <translation>keine</translation>
    </message>
    <message>
        <source>none to test with</source>
        <translation>keine zum Testen</translation>
    </message>
    <message>
        <source>none yet</source>
        <translation>noch keine</translation>
    </message>
    <message>
        <source>none, scores only</source>
        <translation>keine, nur Scores</translation>
    </message>
    <message>
        <source>none: it is the first</source>
        <translation>keiner: Es ist der erste</translation>
    </message>
    <message>
        <source>not clear</source>
        <translation>nicht eindeutig</translation>
    </message>
    <message>
        <source>not known while the host&apos;s computer cannot be reached</source>
        <translation>nicht bekannt, solange der Rechner des Betreibers nicht erreichbar ist</translation>
    </message>
    <message>
        <source>not measured</source>
        <translation>nicht gemessen</translation>
    </message>
    <message>
        <source>not read</source>
        <translation>nicht gelesen</translation>
    </message>
    <message>
        <source>not stated</source>
        <translation>nicht angegeben</translation>
    </message>
    <message>
        <source>not trained</source>
        <translation>nicht trainiert</translation>
    </message>
    <message>
        <source>not: {type}</source>
        <translation>kein: {type}</translation>
    </message>
    <message>
        <source>note {done:,} of {total:,}</source>
        <translation>Text {done:,} von {total:,}</translation>
    </message>
    <message>
        <source>notes never used for training</source>
        <translation>in keinem Training verwendeten Texten</translation>
    </message>
    <message>
        <source>notes of specialty {name}</source>
        <translation>Texte aus dem Fachgebiet {name}</translation>
    </message>
    <message>
        <source>nothing found</source>
        <translation>nichts gefunden</translation>
    </message>
    <message>
        <source>now</source>
        <translation>jetzt</translation>
    </message>
    <message>
        <source>one seed, no interval</source>
        <translation>ein Seed, kein Intervall</translation>
    </message>
    <message>
        <source>only here</source>
        <translation>nur hier</translation>
    </message>
    <message>
        <source>only scores are asked for</source>
        <translation>nur nach Scores gefragt wird</translation>
    </message>
    <message>
        <source>other sites</source>
        <translation>andere Standorte</translation>
    </message>
    <message>
        <source>performance</source>
        <translation>Leistung</translation>
    </message>
    <message>
        <source>phone numbers</source>
        <translation>Telefonnummern</translation>
    </message>
    <message>
        <source>plan</source>
        <translation>Plan</translation>
    </message>
    <message>
        <source>postcodes</source>
        <translation>Postleitzahlen</translation>
    </message>
    <message>
        <source>raised in round {round}: {before} to {after}</source>
        <translation>erhöht in Runde {round}: von {before} auf {after}</translation>
    </message>
    <message>
        <source>real use</source>
        <translation>echter Einsatz</translation>
    </message>
    <message>
        <source>real work: its results count</source>
        <translation>echte Arbeit: Die Ergebnisse zählen</translation>
    </message>
    <message>
        <source>received</source>
        <translation>empfangen</translation>
    </message>
    <message>
        <source>received by the coordinator</source>
        <translation>vom Koordinator empfangen</translation>
    </message>
    <message>
        <source>record numbers</source>
        <translation>Aktennummern</translation>
    </message>
    <message>
        <source>refused</source>
        <translation>abgelehnt</translation>
    </message>
    <message>
        <source>refused by the coordinator</source>
        <translation>vom Koordinator abgelehnt</translation>
    </message>
    <message>
        <source>released for sending</source>
        <translation>zum Senden übergeben</translation>
    </message>
    <message>
        <source>reveals something</source>
        <translation>verrät etwas</translation>
    </message>
    <message>
        <source>rising</source>
        <translation>steigend</translation>
    </message>
    <message>
        <source>round</source>
        <translation>Runde</translation>
    </message>
    <message>
        <source>round closed</source>
        <translation>Runde beendet</translation>
    </message>
    <message>
        <source>round {number}</source>
        <translation>Runde {number}</translation>
    </message>
    <message>
        <source>round {round} step {step:,}</source>
        <translation>Runde {round} Schritt {step:,}</translation>
    </message>
    <message>
        <source>round {round}, layer {layer}: {value}</source>
        <translation>Runde {round}, Schicht {layer}: {value}</translation>
    </message>
    <message>
        <source>round {round}, step {step:,}</source>
        <translation>Runde {round}, Schritt {step:,}</translation>
    </message>
    <message>
        <source>rule</source>
        <translation>Regel</translation>
    </message>
    <message>
        <source>same</source>
        <translation>gleich</translation>
    </message>
    <message>
        <source>scores of the final adapter</source>
        <translation>Scores des endgültigen Adapters</translation>
    </message>
    <message>
        <source>scores only</source>
        <translation>nur Scores</translation>
    </message>
    <message>
        <source>seen {repeats} times: {exposure:.1f} bits ({low:.1f} to {high:.1f}, at most {most:.0f})</source>
        <translation>{repeats}-mal gesehen: {exposure:.1f} Bit ({low:.1f} bis {high:.1f}, höchstens {most:.0f})</translation>
    </message>
    <message>
        <source>semantic</source>
        <translation>semantisch</translation>
    </message>
    <message>
        <source>sending</source>
        <translation>wird gesendet</translation>
    </message>
    <message>
        <source>sending soon</source>
        <translation>wird gleich gesendet</translation>
    </message>
    <message>
        <source>sha256 of everything that is decided on</source>
        <translation>sha256 von allem, worüber entschieden wird</translation>
    </message>
    <message>
        <source>sha256 of the update</source>
        <translation>sha256 des Beitrags</translation>
    </message>
    <message>
        <source>sha256 of {part}</source>
        <translation>sha256: {part}</translation>
    </message>
    <message>
        <source>site</source>
        <translation>Standort</translation>
    </message>
    <message>
        <source>sites</source>
        <translation>die Standorte</translation>
    </message>
    <message>
        <source>small</source>
        <translation>klein</translation>
    </message>
    <message>
        <source>smoothed</source>
        <translation>geglättet</translation>
    </message>
    <message>
        <source>social security numbers</source>
        <translation>Sozialversicherungsnummern</translation>
    </message>
    <message>
        <source>somewhat different</source>
        <translation>etwas anders</translation>
    </message>
    <message>
        <source>started {time}</source>
        <translation>begonnen {time}</translation>
    </message>
    <message>
        <source>steady</source>
        <translation>gleichbleibend</translation>
    </message>
    <message>
        <source>step {done:,} of {total:,}</source>
        <translation>Schritt {done:,} von {total:,}</translation>
    </message>
    <message>
        <source>taken</source>
        <translation>genommen</translation>
    </message>
    <message>
        <source>taken back in time</source>
        <translation>rechtzeitig zurückgenommen</translation>
    </message>
    <message>
        <source>the common model</source>
        <translation>das gemeinsame Modell</translation>
    </message>
    <message>
        <source>the coordinator</source>
        <translation>der Koordinator</translation>
    </message>
    <message>
        <source>the example notes</source>
        <translation>den Beispieltexten</translation>
    </message>
    <message>
        <source>the federation is a test</source>
        <translation>die Föderation ein Test ist</translation>
    </message>
    <message>
        <source>the federation is in production</source>
        <translation>die Föderation produktiv ist</translation>
    </message>
    <message>
        <source>the federation is {value}</source>
        <translation>die Föderation {value} ist</translation>
    </message>
    <message>
        <source>the method is {value}</source>
        <translation>die Methode {value} ist</translation>
    </message>
    <message>
        <source>the note denies it</source>
        <translation>der Text verneint es</translation>
    </message>
    <message>
        <source>the policy</source>
        <translation>die Richtlinie</translation>
    </message>
    <message>
        <source>the policy has changed</source>
        <translation>die Richtlinie hat sich geändert</translation>
    </message>
    <message>
        <source>the program</source>
        <translation>das Programm</translation>
    </message>
    <message>
        <source>the program ended before the approval was in effect</source>
        <translation>das Programm endete, bevor die Freigabe wirksam wurde</translation>
    </message>
    <message>
        <source>the rank is at most {value}</source>
        <translation>der Rang höchstens {value} ist</translation>
    </message>
    <message>
        <source>the rank is over {value}</source>
        <translation>der Rang über {value} liegt</translation>
    </message>
    <message>
        <source>the score, of 100, changes by less than {value}</source>
        <translation>sich der Score (von 100) um weniger als {value} ändert</translation>
    </message>
    <message>
        <source>the score, of 100, changes by {value} or more</source>
        <translation>sich der Score (von 100) um {value} oder mehr ändert</translation>
    </message>
    <message>
        <source>the update is at most {value} times as large as the last one</source>
        <translation>der Beitrag höchstens {value}-mal so groß wie der letzte ist</translation>
    </message>
    <message>
        <source>the update is more than {value} times as large as the last one</source>
        <translation>der Beitrag mehr als {value}-mal so groß wie der letzte ist</translation>
    </message>
    <message>
        <source>the work was stopped</source>
        <translation>die Arbeit wurde angehalten</translation>
    </message>
    <message>
        <source>this program</source>
        <translation>dieses Programm</translation>
    </message>
    <message>
        <source>to {address}</source>
        <translation>an {address}</translation>
    </message>
    <message>
        <source>tokens/s</source>
        <translation>Tokens/s</translation>
    </message>
    <message>
        <source>too late</source>
        <translation>zu spät</translation>
    </message>
    <message>
        <source>train</source>
        <translation>trainieren</translation>
    </message>
    <message>
        <source>training</source>
        <translation>Training</translation>
    </message>
    <message>
        <source>update</source>
        <translation>Beitrag</translation>
    </message>
    <message>
        <source>validation</source>
        <translation>Validierung</translation>
    </message>
    <message>
        <source>validation loss {loss}</source>
        <translation>Validierungsverlust {loss}</translation>
    </message>
    <message>
        <source>very different</source>
        <translation>sehr verschieden</translation>
    </message>
    <message>
        <source>waiting</source>
        <translation>wartet</translation>
    </message>
    <message>
        <source>waiting for a decision</source>
        <translation>wartet auf eine Entscheidung</translation>
    </message>
    <message>
        <source>what</source>
        <translation>was</translation>
    </message>
    <message>
        <source>what it may reveal is rated &quot;{value}&quot; or worse</source>
        <translation>die Bewertung dessen, was er preisgeben kann, „{value}“ oder schlechter lautet</translation>
    </message>
    <message>
        <source>without progress</source>
        <translation>ohne Fortschritt</translation>
    </message>
    <message>
        <source>worse</source>
        <translation>schlechter</translation>
    </message>
    <message>
        <source>your notes</source>
        <translation>Ihren Texten</translation>
    </message>
    <message>
        <source>your notes kept aside</source>
        <translation>Ihren zurückgehaltenen Texten</translation>
    </message>
    <message>
        <source>your site</source>
        <translation>Ihr Standort</translation>
    </message>
    <message>
        <source>{adapter} is better than the base model: {tasks}.</source>
        <translation>{adapter} ist besser als das Basismodell: {tasks}.</translation>
    </message>
    <message>
        <source>{adapter} is worse than the base model: {tasks}.</source>
        <translation>{adapter} ist schlechter als das Basismodell: {tasks}.</translation>
    </message>
    <message>
        <source>{adapter}, for the base {model}.</source>
        <translation>{adapter}, für das Basismodell {model}.</translation>
    </message>
    <message>
        <source>{adapter}, merged into the base model {model}.</source>
        <translation>{adapter}, in das Basismodell {model} eingerechnet.</translation>
    </message>
    <message>
        <source>{after} of 100</source>
        <translation>{after} von 100</translation>
    </message>
    <message>
        <source>{ahead} was better in {more} of {all}, {behind} in {less}; no difference in {neither}.</source>
        <translation>{ahead} war in {more} von {all} besser, {behind} in {less}; kein Unterschied in {neither}.</translation>
    </message>
    <message>
        <source>{before} → {after} of 100</source>
        <translation>{before} → {after} von 100</translation>
    </message>
    <message>
        <source>{before}, now {value}, {word}</source>
        <translation>{before}, jetzt {value}, {word}</translation>
    </message>
    <message>
        <source>{cell} has no result and is in no mean: {reason}</source>
        <translation>{cell} hat kein Ergebnis und geht in kein Mittel ein: {reason}</translation>
    </message>
    <message>
        <source>{change}, {reason}</source>
        <translation>{change}, {reason}</translation>
    </message>
    <message>
        <source>{count:,} to test with</source>
        <translation>{count:,} zum Testen</translation>
    </message>
    <message>
        <source>{count} expected before round {round}</source>
        <translation>{count} vor Runde {round} erwartet</translation>
    </message>
    <message numerus="yes">
        <source>{count} of %n site(s) connected.</source>
        <translation>
            <numerusform>{count} von %n Standort verbunden.</numerusform>
            <numerusform>{count} von %n Standorten verbunden.</numerusform>
        </translation>
    </message>
    <message>
        <source>{count} of {all}</source>
        <translation>{count} von {all}</translation>
    </message>
    <message>
        <source>{days} {opens} to {closes}</source>
        <translation>{days} {opens} bis {closes}</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} von {total}</translation>
    </message>
    <message>
        <source>{done} of {total} answers</source>
        <translation>{done} von {total} Antworten</translation>
    </message>
    <message>
        <source>{done} of {total} sites are scored.</source>
        <translation>Bewertet: {done} von {total} Standorten.</translation>
    </message>
    <message>
        <source>{drift} not measured yet</source>
        <translation>{drift} noch nicht gemessen</translation>
    </message>
    <message>
        <source>{drift} not measured, because no counts are shared</source>
        <translation>{drift} nicht gemessen, weil keine Anzahlen geteilt werden</translation>
    </message>
    <message>
        <source>{earlier} learned other tasks or types: its scores cannot be compared, its curves can</source>
        <translation>{earlier} hat andere Aufgaben oder Typen gelernt: Die Scores sind nicht vergleichbar, die Kurven schon</translation>
    </message>
    <message numerus="yes">
        <source>{federation}, %n round(s), {day}</source>
        <translation>
            <numerusform>{federation}, %n Runde, {day}</numerusform>
            <numerusform>{federation}, %n Runden, {day}</numerusform>
        </translation>
    </message>
    <message>
        <source>{file}, row {row}</source>
        <translation>{file}, Zeile {row}</translation>
    </message>
    <message>
        <source>{found} on {notes}</source>
        <translation>{found} auf {notes}</translation>
    </message>
    <message>
        <source>{hours} h</source>
        <translation>{hours}&#xa0;h</translation>
    </message>
    <message>
        <source>{hours} h {minutes:02d}</source>
        <translation>{hours}&#xa0;h {minutes:02d}</translation>
    </message>
    <message>
        <source>{hours} h {rest:02d} min</source>
        <translation>{hours}&#xa0;h {rest:02d}&#xa0;min</translation>
    </message>
    <message>
        <source>{joined} of {expected} sites have joined</source>
        <translation>Beigetreten: {joined} von {expected} Standorten</translation>
    </message>
    <message>
        <source>{kept:,} of {all:,} marked entities count.</source>
        <translation>{kept:,} von {all:,} markierten Entitäten zählen.</translation>
    </message>
    <message>
        <source>{key} is locked by this computer&apos;s administrator: what {path} says about it does not count.</source>
        <translation>{key} ist vom Administrator dieses Rechners gesperrt: Was {path} dazu sagt, zählt nicht.</translation>
    </message>
    <message>
        <source>{list} and {count} more</source>
        <translation>{list} und {count} weitere</translation>
    </message>
    <message>
        <source>{list}; and {count} more</source>
        <translation>{list}; und {count} weitere</translation>
    </message>
    <message>
        <source>{low} to {high}</source>
        <translation>{low} bis {high}</translation>
    </message>
    <message>
        <source>{measure}, categories</source>
        <translation>{measure}, Kategorien</translation>
    </message>
    <message>
        <source>{measure}, lenient</source>
        <translation>{measure}, tolerant</translation>
    </message>
    <message>
        <source>{minutes} min</source>
        <translation>{minutes}&#xa0;min</translation>
    </message>
    <message>
        <source>{minutes}:{rest:02d} min</source>
        <translation>{minutes}:{rest:02d}&#xa0;min</translation>
    </message>
    <message>
        <source>{missing:,} of {all:,} cells have not run yet; means are over those that have.</source>
        <translation>{missing:,} von {all:,} Zellen sind noch nicht gelaufen; die Mittel gelten für die übrigen.</translation>
    </message>
    <message>
        <source>{modifier}, {kind} of {mention}</source>
        <translation>{modifier}, {kind} zu {mention}</translation>
    </message>
    <message>
        <source>{most} (the largest)</source>
        <translation>{most} (die größte)</translation>
    </message>
    <message>
        <source>{n:,} of {notes}</source>
        <translation>{n:,} von {notes}</translation>
    </message>
    <message>
        <source>{name} (a new key)</source>
        <translation>{name} (neuer Schlüssel)</translation>
    </message>
    <message>
        <source>{name} (as a host)</source>
        <translation>{name} (als Betreiber)</translation>
    </message>
    <message>
        <source>{name} is more frequent here: {own} against {federation} in the federation.</source>
        <translation>{name} ist hier häufiger: {own} gegenüber {federation} in der Föderation.</translation>
    </message>
    <message>
        <source>{name} is rarer here: {own} against {federation}.</source>
        <translation>{name} ist hier seltener: {own} gegenüber {federation}.</translation>
    </message>
    <message>
        <source>{name} may approve in place of {other} from {first} to {last}.</source>
        <translation>{name} darf vom {first} bis {last} anstelle von {other} freigeben.</translation>
    </message>
    <message>
        <source>{now}; {before} before.</source>
        <translation>{now}, vorher {before}.</translation>
    </message>
    <message>
        <source>{n} characters · {what}</source>
        <translation>{n} Zeichen · {what}</translation>
    </message>
    <message>
        <source>{n} of 100</source>
        <translation>{n} von 100</translation>
    </message>
    <message>
        <source>{n} of 100 found correctly</source>
        <translation>{n} von 100 richtig gefunden</translation>
    </message>
    <message>
        <source>{reason} (policy: {rule})</source>
        <translation>{reason} (Richtlinie: {rule})</translation>
    </message>
    <message>
        <source>{relative:.1f} times as likely as invented ones of the same form, {low:.1f} to {high:.1f} (no leak: 1); {strings} found, the most {largest:,.1f} times.</source>
        <translation>{relative:.1f}-mal so wahrscheinlich wie erfundene derselben Form, {low:.1f} bis {high:.1f} (kein Leck: 1); {strings} gefunden, höchstens {largest:,.1f}-mal.</translation>
    </message>
    <message>
        <source>{scores}, mean of {n} tasks</source>
        <translation>{scores}, Mittel aus {n} Aufgaben</translation>
    </message>
    <message>
        <source>{seconds:.0f} s</source>
        <translation>{seconds:.0f}&#xa0;s</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds}&#xa0;s</translation>
    </message>
    <message>
        <source>{sent} of {asked} sites have sent</source>
        <translation>Gesendet: {sent} von {asked} Standorten</translation>
    </message>
    <message>
        <source>{share} of the full model</source>
        <translation>{share} des ganzen Modells</translation>
    </message>
    <message>
        <source>{sites} (you)</source>
        <translation>{sites} (Sie)</translation>
    </message>
    <message>
        <source>{sites} sites</source>
        <translation>{sites} Standorte</translation>
    </message>
    <message>
        <source>{sites} sites, {asked} asked per round</source>
        <translation>{sites} Standorte, {asked} je Runde gefragt</translation>
    </message>
    <message>
        <source>{site} alone</source>
        <translation>{site} allein</translation>
    </message>
    <message>
        <source>{site} can no longer take part.</source>
        <translation>{site} kann nicht mehr teilnehmen.</translation>
    </message>
    <message>
        <source>{site} computes first; the sites share this computer.</source>
        <translation>{site} rechnet zuerst; die Standorte teilen sich diesen Rechner.</translation>
    </message>
    <message>
        <source>{site} is admitted.</source>
        <translation>{site} ist zugelassen.</translation>
    </message>
    <message>
        <source>{some} of {all}</source>
        <translation>{some} von {all}</translation>
    </message>
    <message>
        <source>{speed} tokens per second</source>
        <translation>{speed} Tokens pro Sekunde</translation>
    </message>
    <message>
        <source>{task} from {before} to {after} of 100</source>
        <translation>{task} von {before} auf {after} von 100</translation>
    </message>
    <message>
        <source>{task}, combined model, since round {round}</source>
        <translation>{task}, zusammengeführtes Modell, seit Runde {round}</translation>
    </message>
    <message>
        <source>{task}, for the federation</source>
        <translation>{task}, für die Föderation</translation>
    </message>
    <message>
        <source>{times:.1f}x your last</source>
        <translation>{times:.1f}-mal Ihr letzter</translation>
    </message>
    <message>
        <source>{times:.2f} times</source>
        <translation>{times:.2f}-mal</translation>
    </message>
    <message>
        <source>{time} in total</source>
        <translation>{time} insgesamt</translation>
    </message>
    <message>
        <source>{time} left</source>
        <translation>noch {time}</translation>
    </message>
    <message>
        <source>{title} chart</source>
        <translation>Diagramm: {title}</translation>
    </message>
    <message>
        <source>{type}, if the federation has it</source>
        <translation>{type}, falls die Föderation ihn hat</translation>
    </message>
    <message>
        <source>{type}, not part of the federation</source>
        <translation>{type}, gehört nicht zur Föderation</translation>
    </message>
    <message>
        <source>{used} of {total} GB</source>
        <translation>{used} von {total}&#xa0;GB</translation>
    </message>
    <message>
        <source>{value} ({low} to {high})</source>
        <translation>{value} ({low} bis {high})</translation>
    </message>
    <message>
        <source>{value}, rank {ranks}</source>
        <translation>{value}, Rang {ranks}</translation>
    </message>
    <message>
        <source>{verdict}. It reveals something about your notes: consider keeping it</source>
        <translation>{verdict}. Er verrät etwas über Ihre Texte: Erwägen Sie, ihn zu behalten</translation>
    </message>
    <message>
        <source>{verdict}: consider keeping it</source>
        <translation>{verdict}: Erwägen Sie, ihn zu behalten</translation>
    </message>
    <message>
        <source>{words} ({task})</source>
        <translation>{words} ({task})</translation>
    </message>
    <message numerus="yes">
        <source>{words}, no progress for %n min</source>
        <translation>
            <numerusform>{words}, seit %n Min. kein Fortschritt</numerusform>
            <numerusform>{words}, seit %n Min. kein Fortschritt</numerusform>
        </translation>
    </message>
    <message>
        <source>{word} is a type already.</source>
        <translation>{word} ist schon ein Typ.</translation>
    </message>
    <message>
        <source>± is the standard deviation over seeds.</source>
        <translation>± ist die Standardabweichung über die Seeds.</translation>
    </message>
</context>
<context>
    <name>AgreementCard</name>
    <message>
        <source>How your whole site is hidden</source>
        <translation>Wie Ihr ganzer Standort verborgen ist</translation>
    </message>
    <message>
        <source>Leaves with each update that you approve</source>
        <translation>Geht mit jedem Beitrag hinaus, den Sie freigeben</translation>
    </message>
    <message>
        <source>Never: words of notes, labels, names of files, your name, your reasons. You approve each update.</source>
        <translation>Nie: Wortlaut der Texte, Annotationen, Dateinamen, Ihr Name, Ihre Gründe. Sie geben jeden Beitrag frei.</translation>
    </message>
    <message>
        <source>Not now</source>
        <translation>Jetzt nicht</translation>
    </message>
    <message>
        <source>What you agree to</source>
        <translation>Wozu Sie zustimmen</translation>
    </message>
</context>
<context>
    <name>AnswerPanel</name>
    <message>
        <source>Entity</source>
        <translation>Entität</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>Art</translation>
    </message>
    <message>
        <source>Modifier</source>
        <translation>Zusatzangabe</translation>
    </message>
    <message>
        <source>Modifiers and the entities that they belong to</source>
        <translation>Zusatzangaben und die Entitäten, zu denen sie gehören</translation>
    </message>
    <message>
        <source>Summary</source>
        <translation>Zusammenfassung</translation>
    </message>
</context>
<context>
    <name>AppearanceCard</name>
    <message>
        <source>Another language applies from the next start of the program.</source>
        <translation>Eine andere Sprache gilt ab dem nächsten Start des Programms.</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>Wie das System</translation>
    </message>
    <message>
        <source>Colours</source>
        <translation>Farben</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Dunkel</translation>
    </message>
    <message>
        <source>High contrast</source>
        <translation>Hoher Kontrast</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Sprache</translation>
    </message>
    <message>
        <source>Larger and smaller by Ctrl and +, Ctrl and -.</source>
        <translation>Größer und kleiner mit Strg und +, Strg und -.</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Hell</translation>
    </message>
    <message>
        <source>Size of text</source>
        <translation>Schriftgröße</translation>
    </message>
</context>
<context>
    <name>ApprovalsPage</name>
    <message>
        <source>Approvals</source>
        <translation>Freigaben</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Decisions and receipts</source>
        <translation>Entscheidungen und Quittungen</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Wird geprüft…</translation>
    </message>
    <message>
        <source>Nothing is waiting for you</source>
        <translation>Nichts wartet auf Sie</translation>
    </message>
    <message>
        <source>Once an adapter is trained, it is shown here first; nothing leaves this computer without you.</source>
        <translation>Wenn ein Adapter trainiert ist, erscheint er zuerst hier; ohne Sie verlässt nichts diesen Rechner.</translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation>Adapter senden</translation>
    </message>
    <message>
        <source>Send scores</source>
        <translation>Scores senden</translation>
    </message>
    <message>
        <source>This site&apos;s record is being read.</source>
        <translation>Das Protokoll dieses Standorts wird gelesen.</translation>
    </message>
</context>
<context>
    <name>BackgroundCard</name>
    <message>
        <source>Ask me, and remember the answer</source>
        <translation>Fragen und die Antwort merken</translation>
    </message>
    <message>
        <source>Close the program</source>
        <translation>Programm schließen</translation>
    </message>
    <message>
        <source>Keep this computer awake while it trains</source>
        <translation>Rechner beim Training wach halten</translation>
    </message>
    <message>
        <source>Stay in the tray while this computer takes part</source>
        <translation>Im Infobereich bleiben, solange dieser Rechner teilnimmt</translation>
    </message>
    <message>
        <source>This desktop has no tray: closing the window closes the program.</source>
        <translation>Diese Arbeitsumgebung hat keinen Infobereich: Mit dem Fenster schließt sich das Programm.</translation>
    </message>
    <message>
        <source>When the window is closed</source>
        <translation>Wenn das Fenster geschlossen wird</translation>
    </message>
</context>
<context>
    <name>BlindPanel</name>
    <message>
        <source>Hide which is which, and ask me which one is better</source>
        <translation>Namen verbergen, fragen, welches besser ist</translation>
    </message>
    <message>
        <source>Model A</source>
        <translation>Modell A</translation>
    </message>
    <message>
        <source>Model B</source>
        <translation>Modell B</translation>
    </message>
    <message>
        <source>No difference</source>
        <translation>Kein Unterschied</translation>
    </message>
    <message>
        <source>Not both could be read to the end: this is no comparison.</source>
        <translation>Nicht beide haben zu Ende gelesen: Das ist kein Vergleich.</translation>
    </message>
    <message>
        <source>The left one</source>
        <translation>Das linke</translation>
    </message>
    <message>
        <source>The right one</source>
        <translation>Das rechte</translation>
    </message>
    <message>
        <source>Which one is better?</source>
        <translation>Welches ist besser?</translation>
    </message>
    <message>
        <source>You are asked once both have been read.</source>
        <translation>Sie werden gefragt, sobald beide gelesen haben.</translation>
    </message>
</context>
<context>
    <name>ChangeRow</name>
    <message>
        <source>{what}: from {before} to {after}, {delta}</source>
        <translation>{what}: von {before} auf {after}, {delta}</translation>
    </message>
</context>
<context>
    <name>ChartColumn</name>
    <message>
        <source>Drift</source>
        <translation>Drift</translation>
    </message>
    <message>
        <source>Known once a round has been combined</source>
        <translation>Bekannt, sobald eine Runde zusammengeführt ist</translation>
    </message>
    <message>
        <source>Known once this site&apos;s first adapter is made</source>
        <translation>Bekannt, sobald der erste Adapter dieses Standorts fertig ist</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Verlust</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rang</translation>
    </message>
    <message>
        <source>Round {n}</source>
        <translation>Runde {n}</translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation>Wartet auf den ersten Schritt</translation>
    </message>
    <message>
        <source>thresholds {values}</source>
        <translation>Schwellen {values}</translation>
    </message>
</context>
<context>
    <name>CheckedNotes</name>
    <message>
        <source>An empty folder for the notes</source>
        <translation>Ein leerer Ordner für die Texte</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Wird geschrieben…</translation>
    </message>
    <message>
        <source>Written into {folder}.</source>
        <translation>In {folder} geschrieben.</translation>
    </message>
</context>
<context>
    <name>ComputerCard</name>
    <message>
        <source>Applies from the next start of the program. Hours in which something may leave, and the rank, are limited by the policy below.</source>
        <translation>Gilt ab dem nächsten Start des Programms. Die Zeiten, zu denen etwas hinausgehen darf, und der Rang sind durch die Richtlinie unten begrenzt.</translation>
    </message>
    <message>
        <source>Cores for training</source>
        <translation>Kerne für das Training</translation>
    </message>
</context>
<context>
    <name>ComputerPage</name>
    <message>
        <source>Looking… This takes some seconds.</source>
        <translation>Wird geprüft… Das dauert einige Sekunden.</translation>
    </message>
</context>
<context>
    <name>ConfirmDialog</name>
    <message>
        <source>Not now</source>
        <translation>Jetzt nicht</translation>
    </message>
    <message>
        <source>They are the same: admit</source>
        <translation>Sie sind gleich: zulassen</translation>
    </message>
    <message>
        <source>They differ: shut it out</source>
        <translation>Sie sind verschieden: aussperren</translation>
    </message>
</context>
<context>
    <name>ConnectionsCard</name>
    <message>
        <source>A check</source>
        <translation>Eine Prüfung</translation>
    </message>
    <message>
        <source>All of them. Demonstrations connect only within this computer, and are not listed.</source>
        <translation>Alle. Demos verbinden sich nur innerhalb dieses Rechners und sind nicht aufgeführt.</translation>
    </message>
    <message>
        <source>Host</source>
        <translation>Rechner</translation>
    </message>
    <message>
        <source>Last</source>
        <translation>Zuletzt</translation>
    </message>
    <message>
        <source>None yet. This program connects to the coordinator that you join, and to nothing else.</source>
        <translation>Noch keine. Dieses Programm verbindet sich mit dem Koordinator, dem Sie beitreten, und mit nichts anderem.</translation>
    </message>
    <message>
        <source>Taking part</source>
        <translation>Teilnahme</translation>
    </message>
    <message>
        <source>Why</source>
        <translation>Warum</translation>
    </message>
</context>
<context>
    <name>Countdown</name>
    <message>
        <source>Countdown</source>
        <translation>Countdown</translation>
    </message>
    <message>
        <source>Take back</source>
        <translation>Zurücknehmen</translation>
    </message>
    <message>
        <source>Time left to take it back</source>
        <translation>Verbleibende Zeit zum Zurücknehmen</translation>
    </message>
</context>
<context>
    <name>CurvesView</name>
    <message>
        <source>Numbers of the charts</source>
        <translation>Zahlen der Diagramme</translation>
    </message>
</context>
<context>
    <name>DecisionCard</name>
    <message>
        <source>Your decision</source>
        <translation>Ihre Entscheidung</translation>
    </message>
</context>
<context>
    <name>DemonstrationDialog</name>
    <message>
        <source>Advanced</source>
        <translation>Erweitert</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Make my site memorise a few notes, to see a warning</source>
        <translation>Einige Texte auswendig lernen lassen, um eine Warnung zu sehen</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>Starten</translation>
    </message>
</context>
<context>
    <name>EarlierDialog</name>
    <message>
        <source>Compare</source>
        <translation>Vergleichen</translation>
    </message>
    <message>
        <source>Compare with none</source>
        <translation>Mit keiner vergleichen</translation>
    </message>
    <message>
        <source>Earlier federation</source>
        <translation>Frühere Föderation</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Wird geprüft…</translation>
    </message>
    <message>
        <source>There is none on this computer yet: it comes here once this computer has left one.</source>
        <translation>Auf diesem Rechner gibt es noch keine: Sie erscheint hier, sobald dieser Rechner eine verlassen hat.</translation>
    </message>
</context>
<context>
    <name>EntityLegend</name>
    <message>
        <source>Types of entities</source>
        <translation>Typen von Entitäten</translation>
    </message>
</context>
<context>
    <name>EntryCard</name>
    <message>
        <source>Choose an entry to see everything it says.</source>
        <translation>Wählen Sie einen Eintrag, um alles zu sehen, was darin steht.</translation>
    </message>
    <message>
        <source>Entry</source>
        <translation>Eintrag</translation>
    </message>
</context>
<context>
    <name>EvaluationCard</name>
    <message>
        <source>A folder for scores and predictions</source>
        <translation>Ein Ordner für Scores und Vorhersagen</translation>
    </message>
    <message>
        <source>About other notes than those shown above: {path}</source>
        <translation>Zu anderen Texten als den oben gezeigten: {path}</translation>
    </message>
    <message>
        <source>Evaluate again</source>
        <translation>Erneut auswerten</translation>
    </message>
    <message>
        <source>Evaluate on these notes</source>
        <translation>Auf diesen Texten auswerten</translation>
    </message>
    <message>
        <source>How good the model is on these notes</source>
        <translation>Wie gut das Modell auf diesen Texten ist</translation>
    </message>
    <message>
        <source>Progress of the evaluation</source>
        <translation>Erledigter Teil der Auswertung</translation>
    </message>
    <message>
        <source>Save scores and predictions…</source>
        <translation>Scores und Vorhersagen speichern…</translation>
    </message>
    <message>
        <source>Saved. The predictions hold words of the notes: keep them at your site.</source>
        <translation>Gespeichert. Die Vorhersagen enthalten Wörter aus den Texten: Behalten Sie sie an Ihrem Standort.</translation>
    </message>
    <message>
        <source>Scores on these notes</source>
        <translation>Scores auf diesen Texten</translation>
    </message>
    <message>
        <source>Test notes are used where there are some. Nothing is sent; it may take minutes to hours.</source>
        <translation>Wo es Testtexte gibt, werden diese verwendet. Nichts wird gesendet; es kann Minuten bis Stunden dauern.</translation>
    </message>
    <message>
        <source>The base model and “{adapter}” answer for every note that has labels; both are scored.</source>
        <translation>Das Basismodell und „{adapter}“ antworten für jeden annotierten Text; beide werden bewertet.</translation>
    </message>
    <message>
        <source>The base model answers for every note that has labels, and is scored.</source>
        <translation>Das Basismodell antwortet für jeden annotierten Text und wird bewertet.</translation>
    </message>
</context>
<context>
    <name>ExperimentCharts</name>
    <message>
        <source>By round</source>
        <translation>Nach Runde</translation>
    </message>
    <message>
        <source>By what was moved</source>
        <translation>Nach übertragener Menge</translation>
    </message>
    <message>
        <source>Drift</source>
        <translation>Drift</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Verlust</translation>
    </message>
    <message>
        <source>Loss by {moved}</source>
        <translation>Verlust nach {moved}</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rang</translation>
    </message>
    <message>
        <source>round {n}</source>
        <translation>Runde {n}</translation>
    </message>
    <message>
        <source>{score} by {moved}</source>
        <translation>{score} nach {moved}</translation>
    </message>
    <message>
        <source>{unit} moved</source>
        <translation>übertragenen {unit}</translation>
    </message>
</context>
<context>
    <name>ExperimentPage</name>
    <message>
        <source>Back to the Monitor</source>
        <translation>Zurück zum Monitor</translation>
    </message>
    <message>
        <source>Experiment: {name}</source>
        <translation>Experiment: {name}</translation>
    </message>
    <message>
        <source>Folder of an experiment</source>
        <translation>Ordner eines Experiments</translation>
    </message>
    <message>
        <source>Lines are means over seeds. Choose a method in the table to see it apart.</source>
        <translation>Linien sind Mittel über die Seeds. Wählen Sie in der Tabelle eine Methode, um sie hervorzuheben.</translation>
    </message>
    <message>
        <source>Methods</source>
        <translation>Methoden</translation>
    </message>
    <message>
        <source>Methods compared</source>
        <translation>Methoden im Vergleich</translation>
    </message>
    <message>
        <source>No cell of this experiment has one.</source>
        <translation>Keine Zelle dieses Experiments hat eines.</translation>
    </message>
    <message>
        <source>No result</source>
        <translation>Kein Ergebnis</translation>
    </message>
    <message>
        <source>Open another…</source>
        <translation>Anderes öffnen…</translation>
    </message>
    <message>
        <source>Setting: {title}</source>
        <translation>Einstellung: {title}</translation>
    </message>
    <message>
        <source>Show all alike</source>
        <translation>Alle gleich zeigen</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Was diese Zahlen bedeuten</translation>
    </message>
    <message>
        <source>{method} stands out.</source>
        <translation>{method} ist hervorgehoben.</translation>
    </message>
    <message>
        <source>{method} stands out; the dotted lines beside it are one standard deviation over seeds.</source>
        <translation>{method} ist hervorgehoben; die gepunkteten Linien daneben sind eine Standardabweichung über die Seeds.</translation>
    </message>
</context>
<context>
    <name>FactsCard</name>
    <message>
        <source>This coordinator</source>
        <translation>Dieser Koordinator</translation>
    </message>
</context>
<context>
    <name>FaultDialog</name>
    <message>
        <source>Copy details</source>
        <translation>Einzelheiten kopieren</translation>
    </message>
    <message>
        <source>Details for the people who maintain the program</source>
        <translation>Einzelheiten für die Personen, die das Programm pflegen</translation>
    </message>
    <message>
        <source>Show details</source>
        <translation>Einzelheiten zeigen</translation>
    </message>
    <message>
        <source>The details are in the log file, {path}</source>
        <translation>Die Einzelheiten stehen in der Logdatei, {path}</translation>
    </message>
</context>
<context>
    <name>Field</name>
    <message>
        <source>Browse: {name}</source>
        <translation>Durchsuchen: {name}</translation>
    </message>
    <message>
        <source>Browse…</source>
        <translation>Durchsuchen…</translation>
    </message>
</context>
<context>
    <name>FilesCard</name>
    <message>
        <source>What is written</source>
        <translation>Was geschrieben wird</translation>
    </message>
    <message>
        <source>federation.toml, which all sites agree on, and the adapter that the first round begins with: the same files that fedmed-desktop --new-federation writes. You can read the first one, and move both to a server.</source>
        <translation>federation.toml, auf die sich alle Standorte einigen, und der Adapter, mit dem die erste Runde beginnt: dieselben Dateien wie mit fedmed-desktop --new-federation. Die erste können Sie lesen, und beide auf einen Server bringen.</translation>
    </message>
</context>
<context>
    <name>FindingBox</name>
    <message>
        <source>I have seen this</source>
        <translation>Ich habe das gesehen</translation>
    </message>
    <message>
        <source>I have seen this: {finding}</source>
        <translation>Ich habe das gesehen: {finding}</translation>
    </message>
</context>
<context>
    <name>FindingsCard</name>
    <message>
        <source>All is well.</source>
        <translation>Alles in Ordnung.</translation>
    </message>
    <message>
        <source>Looking… This takes some seconds; up to a minute where nothing answers.</source>
        <translation>Wird geprüft… Das dauert einige Sekunden; bis zu einer Minute, wo nichts antwortet.</translation>
    </message>
</context>
<context>
    <name>FittingCard</name>
    <message>
        <source>A model for your own notes</source>
        <translation>Ein Modell für Ihre eigenen Texte</translation>
    </message>
    <message>
        <source>Fit again</source>
        <translation>Neu anpassen</translation>
    </message>
    <message>
        <source>Fit it to our notes</source>
        <translation>An unsere Texte anpassen</translation>
    </message>
    <message>
        <source>Progress of the fitting</source>
        <translation>Erledigter Teil der Anpassung</translation>
    </message>
    <message>
        <source>Shares that were compared</source>
        <translation>Verglichene Anteile</translation>
    </message>
    <message>
        <source>What was compared</source>
        <translation>Was verglichen wurde</translation>
    </message>
</context>
<context>
    <name>FormPanel</name>
    <message>
        <source>Advanced</source>
        <translation>Erweitert</translation>
    </message>
    <message>
        <source>Another model, in a folder of this computer</source>
        <translation>Ein anderes Modell, in einem Ordner dieses Rechners</translation>
    </message>
    <message>
        <source>Confirm each new site</source>
        <translation>Jeden neuen Standort bestätigen</translation>
    </message>
    <message>
        <source>Every site sees this word above its pages.</source>
        <translation>Jeder Standort sieht dieses Wort über seinen Seiten.</translation>
    </message>
    <message>
        <source>How it goes</source>
        <translation>Wie es abläuft</translation>
    </message>
    <message>
        <source>It waits until you have compared six words by phone, which shows that nobody is in between.</source>
        <translation>Er wartet, bis Sie am Telefon sechs Wörter mit ihm verglichen haben: Dann ist niemand dazwischen.</translation>
    </message>
    <message>
        <source>Language model</source>
        <translation>Sprachmodell</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Wird geprüft…</translation>
    </message>
    <message>
        <source>Something above is not right yet.</source>
        <translation>Oben stimmt noch etwas nicht.</translation>
    </message>
    <message>
        <source>Something above is still empty.</source>
        <translation>Oben ist noch etwas leer.</translation>
    </message>
    <message>
        <source>The small model that comes with the program</source>
        <translation>Das kleine Modell, das dem Programm beiliegt</translation>
    </message>
    <message>
        <source>What is learned</source>
        <translation>Was gelernt wird</translation>
    </message>
    <message>
        <source>What it is for</source>
        <translation>Wofür sie ist</translation>
    </message>
    <message>
        <source>Where it is served</source>
        <translation>Wo sie läuft</translation>
    </message>
    <message>
        <source>Who can take part</source>
        <translation>Wer teilnehmen kann</translation>
    </message>
</context>
<context>
    <name>GuideDialog</name>
    <message>
        <source>Back</source>
        <translation>Zurück</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Guide</source>
        <translation>Anleitung</translation>
    </message>
    <message>
        <source>Pages of the guide</source>
        <translation>Seiten der Anleitung</translation>
    </message>
</context>
<context>
    <name>Header</name>
    <message>
        <source>Connected</source>
        <translation>Verbunden</translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation>Verbindet</translation>
    </message>
    <message>
        <source>Demonstration</source>
        <translation>Demo</translation>
    </message>
    <message>
        <source>Menu</source>
        <translation>Menü</translation>
    </message>
    <message>
        <source>Offline</source>
        <translation>Offline</translation>
    </message>
    <message>
        <source>Refused</source>
        <translation>Abgelehnt</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>Test</translation>
    </message>
    <message>
        <source>this computer</source>
        <translation>dieser Rechner</translation>
    </message>
</context>
<context>
    <name>HelpedCard</name>
    <message>
        <source>What this means</source>
        <translation>Was das bedeutet</translation>
    </message>
    <message>
        <source>What this means: {title}</source>
        <translation>Was das bedeutet: {title}</translation>
    </message>
</context>
<context>
    <name>HistoryPage</name>
    <message>
        <source>As a table (CSV)…</source>
        <translation>Als Tabelle (CSV)…</translation>
    </message>
    <message>
        <source>Checked at {time}. {verdict}</source>
        <translation>Geprüft um {time}. {verdict}</translation>
    </message>
    <message>
        <source>Checking every entry…</source>
        <translation>Jeder Eintrag wird geprüft…</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Compare…</source>
        <translation>Vergleichen…</translation>
    </message>
    <message>
        <source>Entries of the record, the newest first</source>
        <translation>Einträge des Protokolls, die neuesten zuerst</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Exportieren</translation>
    </message>
    <message>
        <source>Export the record</source>
        <translation>Protokoll exportieren</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Verlauf</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Einer Föderation beitreten</translation>
    </message>
    <message>
        <source>Mark as reviewed…</source>
        <translation>Als durchgesehen vermerken…</translation>
    </message>
    <message>
        <source>None of {all} entries match.</source>
        <translation>Keiner von {all} Einträgen passt.</translation>
    </message>
    <message>
        <source>Nothing could be compared: neither record holds a hash of the other.</source>
        <translation>Nichts ließ sich vergleichen: Keines der Protokolle enthält einen Hash des anderen.</translation>
    </message>
    <message>
        <source>Nothing has been recorded yet</source>
        <translation>Noch ist nichts aufgezeichnet</translation>
    </message>
    <message>
        <source>Once this site takes part in a federation, everything that the program does and you decide is written down here, and stays on this computer.</source>
        <translation>Sobald dieser Standort an einer Föderation teilnimmt, wird hier alles aufgeschrieben, was das Programm tut und Sie entscheiden; es bleibt auf diesem Rechner.</translation>
    </message>
    <message>
        <source>Reading the record…</source>
        <translation>Das Protokoll wird gelesen…</translation>
    </message>
    <message>
        <source>Records (*.sqlite *.json)</source>
        <translation>Protokolle (*.sqlite *.json)</translation>
    </message>
    <message>
        <source>Show everything</source>
        <translation>Alles zeigen</translation>
    </message>
    <message>
        <source>Signed, for others to check (JSON)…</source>
        <translation>Signiert, zum Prüfen durch andere (JSON)…</translation>
    </message>
    <message>
        <source>The coordinator&apos;s audit.sqlite, or an export of it</source>
        <translation>audit.sqlite des Koordinators oder ein Export davon</translation>
    </message>
    <message>
        <source>To read on paper (PDF)…</source>
        <translation>Zum Lesen auf Papier (PDF)…</translation>
    </message>
    <message>
        <source>Verify</source>
        <translation>Prüfen</translation>
    </message>
    <message>
        <source>What this site did and decided, and when. Entries are added, never changed.</source>
        <translation>Was dieser Standort getan und entschieden hat, und wann. Einträge kommen hinzu, keiner wird geändert.</translation>
    </message>
    <message>
        <source>With the coordinator&apos;s record, or an export of it</source>
        <translation>Mit dem Protokoll des Koordinators oder einem Export davon</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Wird geschrieben…</translation>
    </message>
</context>
<context>
    <name>HostStoryCard</name>
    <message>
        <source>What arrives here is what each site has approved: adapters, counts and scores. Never the words of notes.</source>
        <translation>Hier kommt an, was jeder Standort freigegeben hat: Adapter, Anzahlen und Scores. Nie der Wortlaut der Texte.</translation>
    </message>
    <message>
        <source>What hosting means</source>
        <translation>Was der Betrieb bedeutet</translation>
    </message>
    <message>
        <source>While a round is running, this computer must be switched on and sites must be able to reach it. It needs no GPU and no notes.</source>
        <translation>Dieser Rechner muss laufen und für die Standorte erreichbar sein, solange eine Runde läuft. Er braucht keine GPU und keine Texte.</translation>
    </message>
    <message>
        <source>You invite each site with a line of text, a file or a QR code. Nobody else can join.</source>
        <translation>Sie laden jeden Standort ein, mit einer Zeile, einer Datei oder einem QR-Code. Sonst kommt niemand hinein.</translation>
    </message>
</context>
<context>
    <name>HostingPage</name>
    <message>
        <source>A federation</source>
        <translation>Eine Föderation</translation>
    </message>
    <message>
        <source>About hosting</source>
        <translation>Über den Betrieb</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Zurück</translation>
    </message>
    <message>
        <source>Decide what hospitals learn together. This computer then runs the rounds and combines the updates.</source>
        <translation>Legen Sie fest, was Krankenhäuser gemeinsam lernen. Dieser Rechner eröffnet dann die Runden und führt die Adapter zusammen.</translation>
    </message>
    <message>
        <source>Found the federation</source>
        <translation>Föderation gründen</translation>
    </message>
    <message>
        <source>Host a federation</source>
        <translation>Eine Föderation betreiben</translation>
    </message>
    <message>
        <source>No longer look after it…</source>
        <translation>Nicht mehr betreuen…</translation>
    </message>
    <message>
        <source>Reading the model, and writing…</source>
        <translation>Das Modell wird gelesen, und die Dateien werden geschrieben…</translation>
    </message>
    <message>
        <source>You are a host of this federation; another computer serves it.</source>
        <translation>Sie sind ein Betreiber dieser Föderation; sie läuft auf einem anderen Rechner.</translation>
    </message>
    <message>
        <source>You host this federation, as a test.</source>
        <translation>Sie betreiben diese Föderation, als Test.</translation>
    </message>
    <message>
        <source>You host this federation.</source>
        <translation>Sie betreiben diese Föderation.</translation>
    </message>
</context>
<context>
    <name>IdentityCard</name>
    <message>
        <source>Compare these six words with the host by phone</source>
        <translation>Vergleichen Sie diese sechs Wörter am Telefon mit dem Betreiber</translation>
    </message>
    <message>
        <source>They are the same</source>
        <translation>Sie sind gleich</translation>
    </message>
    <message>
        <source>They differ…</source>
        <translation>Sie sind verschieden…</translation>
    </message>
</context>
<context>
    <name>ImprovedCard</name>
    <message>
        <source>1 more type is in Monitor.</source>
        <translation>1 weiterer Typ steht im Monitor.</translation>
    </message>
    <message>
        <source>By type and for all sites</source>
        <translation>Nach Typ und für alle Standorte</translation>
    </message>
    <message>
        <source>Found correctly, of 100.</source>
        <translation>Richtig gefunden, von 100.</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Wie gut er arbeitet</translation>
    </message>
    <message>
        <source>Not known yet: scores appear here once this round&apos;s adapter has been trained.</source>
        <translation>Noch nicht bekannt: Scores erscheinen hier, sobald der Adapter dieser Runde trainiert ist.</translation>
    </message>
    <message>
        <source>Points, of 100.</source>
        <translation>Punkte, von 100.</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Was diese Zahlen bedeuten</translation>
    </message>
    <message>
        <source>{n} more types are in Monitor.</source>
        <translation>{n} weitere Typen stehen im Monitor.</translation>
    </message>
</context>
<context>
    <name>InviteDialog</name>
    <message>
        <source>All numbers of this site stand under it.</source>
        <translation>Alle Zahlen dieses Standorts stehen darunter.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>It can be used for</source>
        <translation>Sie gilt</translation>
    </message>
    <message>
        <source>Make the invitation</source>
        <translation>Einladung erstellen</translation>
    </message>
    <message>
        <source>Mercy General</source>
        <translation>Mercy General</translation>
    </message>
    <message>
        <source>Name of the site</source>
        <translation>Name des Standorts</translation>
    </message>
</context>
<context>
    <name>InvitedPanel</name>
    <message>
        <source>Copied</source>
        <translation>Kopiert</translation>
    </message>
    <message>
        <source>Copy the line</source>
        <translation>Zeile kopieren</translation>
    </message>
    <message>
        <source>Invitation</source>
        <translation>Einladung</translation>
    </message>
    <message>
        <source>QR code of the invitation of {site}</source>
        <translation>QR-Code der Einladung von {site}</translation>
    </message>
    <message>
        <source>Save the QR code</source>
        <translation>QR-Code speichern</translation>
    </message>
    <message>
        <source>Save the QR code…</source>
        <translation>QR-Code speichern…</translation>
    </message>
    <message>
        <source>Save the file…</source>
        <translation>Datei speichern…</translation>
    </message>
    <message>
        <source>Save the invitation</source>
        <translation>Einladung speichern</translation>
    </message>
    <message>
        <source>Saved as {path}.</source>
        <translation>Gespeichert als {path}.</translation>
    </message>
    <message>
        <source>Send the line, the file or the picture to {site}, by a way that nobody else reads: whoever has it can join as {site}. It works once, until {time}.</source>
        <translation>Senden Sie die Zeile, die Datei oder das Bild an {site}, auf einem Weg, den niemand sonst mitliest: Wer sie hat, kann als {site} beitreten. Sie gilt einmal, bis {time}.</translation>
    </message>
    <message>
        <source>There they choose Join. Then compare six words by phone; if they differ, remove the site.</source>
        <translation>Dort wählt man „Beitreten“. Vergleichen Sie dann am Telefon sechs Wörter; sind sie verschieden, entfernen Sie den Standort.</translation>
    </message>
    <message>
        <source>There they choose Join. Then they wait here, until you have compared six words and confirmed.</source>
        <translation>Dort wählt man „Beitreten“. Dann wartet der Standort hier, bis Sie sechs Wörter verglichen und ihn bestätigt haben.</translation>
    </message>
</context>
<context>
    <name>JoinPage</name>
    <message>
        <source>A small file that says which of the federation&apos;s types each of yours is.</source>
        <translation>Eine kleine Datei, die sagt, welcher Ihrer Typen welchem der Föderation entspricht.</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Zurück</translation>
    </message>
    <message>
        <source>Check before joining</source>
        <translation>Vor dem Beitritt prüfen</translation>
    </message>
    <message>
        <source>Enter the invitation first; it says where the coordinator is.</source>
        <translation>Geben Sie zuerst die Einladung an; sie sagt, wo der Koordinator ist.</translation>
    </message>
    <message>
        <source>Everything except the types map is needed.</source>
        <translation>Alles außer der Typenzuordnung wird gebraucht.</translation>
    </message>
    <message>
        <source>Host one instead</source>
        <translation>Stattdessen eine betreiben</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Beitreten</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Einer Föderation beitreten</translation>
    </message>
    <message>
        <source>Look after it</source>
        <translation>Betreuen</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Wird geprüft…</translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation>Modellordner</translation>
    </message>
    <message>
        <source>Notes folder</source>
        <translation>Textordner</translation>
    </message>
    <message>
        <source>Something above is not right yet.</source>
        <translation>Oben stimmt noch etwas nicht.</translation>
    </message>
    <message>
        <source>Tests the connection to the coordinator and checks this computer. It tells the coordinator nothing about this site.</source>
        <translation>Prüft die Verbindung zum Koordinator und diesen Rechner. Der Koordinator erfährt dabei nichts über diesen Standort.</translation>
    </message>
    <message>
        <source>The agreed language model; its host gives you this folder.</source>
        <translation>Das vereinbarte Sprachmodell; diesen Ordner erhalten Sie vom Betreiber.</translation>
    </message>
    <message>
        <source>Types map (optional)</source>
        <translation>Typenzuordnung (optional)</translation>
    </message>
    <message>
        <source>Types maps (*.toml)</source>
        <translation>Typenzuordnungen (*.toml)</translation>
    </message>
    <message>
        <source>What notes and models must look like</source>
        <translation>Wie Texte und Modelle aussehen müssen</translation>
    </message>
    <message>
        <source>Your annotated notes. They are only read, and stay there.</source>
        <translation>Ihre annotierten Texte. Sie werden nur gelesen und bleiben, wo sie sind.</translation>
    </message>
    <message>
        <source>Your notes stay in their folder. Nothing learned from your notes leaves before you approve it.</source>
        <translation>Ihre Texte bleiben in ihrem Ordner. Nichts aus Ihren Texten Gelerntes geht hinaus, bevor Sie es freigeben.</translation>
    </message>
</context>
<context>
    <name>LayerMap</name>
    <message>
        <source>Change by layer and round</source>
        <translation>Änderung nach Schicht und Runde</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Schicht für Schicht</translation>
    </message>
    <message>
        <source>Map of the change by layer and round</source>
        <translation>Karte der Änderung nach Schicht und Runde</translation>
    </message>
    <message>
        <source>Show as map</source>
        <translation>Als Karte zeigen</translation>
    </message>
    <message>
        <source>Show as table</source>
        <translation>Als Tabelle zeigen</translation>
    </message>
    <message>
        <source>no change</source>
        <translation>keine Änderung</translation>
    </message>
</context>
<context>
    <name>LayersCard</name>
    <message>
        <source>Layer by layer</source>
        <translation>Schicht für Schicht</translation>
    </message>
    <message>
        <source>Layers are numbered from the input onwards. Norm: how large the change is. Click a heading to sort.</source>
        <translation>Die Schichten sind vom Eingang an nummeriert. Norm: wie groß die Änderung ist. Ein Klick auf eine Überschrift sortiert.</translation>
    </message>
</context>
<context>
    <name>LicencesCard</name>
    <message>
        <source>Licence</source>
        <translation>Lizenz</translation>
    </message>
    <message>
        <source>Package</source>
        <translation>Paket</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Version</translation>
    </message>
</context>
<context>
    <name>Lines</name>
    <message>
        <source>Last values: {values}</source>
        <translation>Letzte Werte: {values}</translation>
    </message>
</context>
<context>
    <name>MarkDialog</name>
    <message>
        <source>As it should appear in the record.</source>
        <translation>So, wie er im Protokoll stehen soll.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Mark as reviewed</source>
        <translation>Als durchgesehen vermerken</translation>
    </message>
    <message>
        <source>Not needed. It stays on this computer, as the record does.</source>
        <translation>Nicht nötig. Sie bleibt auf diesem Rechner, wie das Protokoll.</translation>
    </message>
    <message>
        <source>Remark</source>
        <translation>Bemerkung</translation>
    </message>
    <message>
        <source>Your name</source>
        <translation>Ihr Name</translation>
    </message>
</context>
<context>
    <name>Menu</name>
    <message>
        <source>Larger text</source>
        <translation>Größere Schrift</translation>
    </message>
    <message>
        <source>Smaller text</source>
        <translation>Kleinere Schrift</translation>
    </message>
    <message>
        <source>Usual text size</source>
        <translation>Übliche Schriftgröße</translation>
    </message>
</context>
<context>
    <name>MethodPicker</name>
    <message>
        <source>About this method</source>
        <translation>Über diese Methode</translation>
    </message>
    <message>
        <source>Method</source>
        <translation>Methode</translation>
    </message>
</context>
<context>
    <name>ModelCard</name>
    <message>
        <source>Adapter: none; choose one to read with it</source>
        <translation>Adapter: keiner; wählen Sie einen, um mit ihm zu lesen</translation>
    </message>
    <message>
        <source>Adapter: trained on public texts, comes with it</source>
        <translation>Adapter: mit öffentlichen Texten trainiert, gehört dazu</translation>
    </message>
    <message>
        <source>Adapter: {name}</source>
        <translation>Adapter: {name}</translation>
    </message>
    <message>
        <source>Choose adapter…</source>
        <translation>Adapter wählen…</translation>
    </message>
    <message>
        <source>Choose model…</source>
        <translation>Modell wählen…</translation>
    </message>
    <message>
        <source>Folder of a model</source>
        <translation>Ordner eines Modells</translation>
    </message>
    <message>
        <source>Folder of an adapter</source>
        <translation>Ordner eines Adapters</translation>
    </message>
    <message>
        <source>Model: the small one that comes with this program</source>
        <translation>Modell: das kleine, das diesem Programm beiliegt</translation>
    </message>
    <message>
        <source>Model: {name}</source>
        <translation>Modell: {name}</translation>
    </message>
</context>
<context>
    <name>MonitorCards</name>
    <message>
        <source>Most memory used</source>
        <translation>Höchster Speicherbedarf</translation>
    </message>
    <message>
        <source>Sent / received</source>
        <translation>Gesendet / empfangen</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Geschwindigkeit</translation>
    </message>
    <message>
        <source>Step size (learning rate)</source>
        <translation>Schrittweite (Lernrate)</translation>
    </message>
</context>
<context>
    <name>MonitorControls</name>
    <message>
        <source>0.6</source>
        <translation>0,6</translation>
    </message>
    <message>
        <source>0.9</source>
        <translation>0,9</translation>
    </message>
    <message>
        <source>By step</source>
        <translation>Nach Schritt</translation>
    </message>
    <message>
        <source>By time</source>
        <translation>Nach Zeit</translation>
    </message>
    <message>
        <source>Compare with an earlier federation…</source>
        <translation>Mit einer früheren Föderation vergleichen…</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Exportieren</translation>
    </message>
    <message>
        <source>Export picture or numbers</source>
        <translation>Bild oder Zahlen exportieren</translation>
    </message>
    <message>
        <source>Follow</source>
        <translation>Folgen</translation>
    </message>
    <message>
        <source>Follow the newest step</source>
        <translation>Dem neuesten Schritt folgen</translation>
    </message>
    <message>
        <source>None: the loss of every step</source>
        <translation>Keine: der Verlust jedes Schritts</translation>
    </message>
    <message>
        <source>Numbers (CSV)…</source>
        <translation>Zahlen (CSV)…</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Experiment öffnen…</translation>
    </message>
    <message>
        <source>Picture (PNG)…</source>
        <translation>Bild (PNG)…</translation>
    </message>
    <message>
        <source>Show as table</source>
        <translation>Als Tabelle zeigen</translation>
    </message>
    <message>
        <source>Show everything, and new steps as they come. Panning or zooming turns this off.</source>
        <translation>Alles zeigen, was da ist und kommt. Verschieben oder Zoomen beendet es.</translation>
    </message>
    <message>
        <source>Smoothing {weight}</source>
        <translation>Glättung {weight}</translation>
    </message>
    <message>
        <source>Stretch small values (log)</source>
        <translation>Kleine Werte strecken (log)</translation>
    </message>
    <message>
        <source>View</source>
        <translation>Ansicht</translation>
    </message>
    <message>
        <source>View of the charts</source>
        <translation>Ansicht der Diagramme</translation>
    </message>
    <message>
        <source>off</source>
        <translation>aus</translation>
    </message>
    <message>
        <source>{text}, of the training loss</source>
        <translation>{text}, des Trainingsverlusts</translation>
    </message>
</context>
<context>
    <name>MonitorPage</name>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>For long rounds that have closed, it contains evenly spaced steps only.</source>
        <translation>Von langen beendeten Runden ist eine gleichmäßige Auswahl der Schritte enthalten.</translation>
    </message>
    <message>
        <source>Loss should go down, drift should stay low, and rank is how much can be learned. Opens the guide.</source>
        <translation>Der Verlust soll sinken; die Drift soll niedrig bleiben; der Rang sagt, wie viel gelernt werden kann. Öffnet die Anleitung.</translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation>Monitor</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Experiment öffnen…</translation>
    </message>
    <message>
        <source>Save the charts as a picture</source>
        <translation>Diagramme als Bild speichern</translation>
    </message>
    <message>
        <source>Save the numbers</source>
        <translation>Zahlen speichern</translation>
    </message>
    <message>
        <source>Saved as {path}</source>
        <translation>Gespeichert als {path}</translation>
    </message>
    <message>
        <source>Then → now, after round {n}</source>
        <translation>Damals → jetzt, nach Runde {n}</translation>
    </message>
    <message>
        <source>What loss, drift and rank are</source>
        <translation>Was Verlust, Drift und Rang sind</translation>
    </message>
</context>
<context>
    <name>NavigationBar</name>
    <message>
        <source>Pages</source>
        <translation>Seiten</translation>
    </message>
</context>
<context>
    <name>NavigationButton</name>
    <message>
        <source>{page}, {count} waiting</source>
        <translation>{page}, {count} warten</translation>
    </message>
</context>
<context>
    <name>NoteCard</name>
    <message>
        <source>&amp;Looks for</source>
        <translation>&amp;Sucht nach</translation>
    </message>
    <message>
        <source>1 character</source>
        <translation>1 Zeichen</translation>
    </message>
    <message>
        <source>Change</source>
        <translation>Ändern</translation>
    </message>
    <message>
        <source>Change note, types or model</source>
        <translation>Text, Typen oder Modell ändern</translation>
    </message>
    <message>
        <source>Note to read</source>
        <translation>Zu lesender Text</translation>
    </message>
    <message>
        <source>Paste a note here. It is read on this computer and not stored.</source>
        <translation>Fügen Sie hier einen Text ein. Er wird auf diesem Rechner gelesen und nirgends aufbewahrt.</translation>
    </message>
    <message>
        <source>Types to look for</source>
        <translation>Gesuchte Typen</translation>
    </message>
    <message>
        <source>{n} characters</source>
        <translation>{n} Zeichen</translation>
    </message>
    <message>
        <source>{types} (this federation&apos;s types)</source>
        <translation>{types} (Typen dieser Föderation)</translation>
    </message>
</context>
<context>
    <name>NotesChoice</name>
    <message>
        <source>Notes folder</source>
        <translation>Textordner</translation>
    </message>
    <message>
        <source>There is no such folder on this computer.</source>
        <translation>Diesen Ordner gibt es auf diesem Rechner nicht.</translation>
    </message>
    <message>
        <source>Your annotated notes. They are only read, and stay there.</source>
        <translation>Ihre annotierten Texte. Sie werden nur gelesen und bleiben, wo sie sind.</translation>
    </message>
</context>
<context>
    <name>NotesPage</name>
    <message>
        <source>Check again</source>
        <translation>Erneut prüfen</translation>
    </message>
    <message>
        <source>Choose a file…</source>
        <translation>Datei wählen…</translation>
    </message>
    <message>
        <source>Choose a folder or a file of notes, to see what is in them and what needs a look. They are only read, and nothing leaves this computer.</source>
        <translation>Wählen Sie einen Ordner oder eine Datei mit Texten, um zu sehen, was sie enthalten und was Sie ansehen sollten. Sie werden nur gelesen, und nichts verlässt diesen Rechner.</translation>
    </message>
    <message>
        <source>Choose a folder…</source>
        <translation>Ordner wählen…</translation>
    </message>
    <message>
        <source>No notes yet</source>
        <translation>Noch keine Texte</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Texte</translation>
    </message>
    <message>
        <source>Open a file of notes</source>
        <translation>Datei mit Texten öffnen</translation>
    </message>
    <message>
        <source>Open a folder of notes</source>
        <translation>Ordner mit Texten öffnen</translation>
    </message>
    <message>
        <source>Other file…</source>
        <translation>Andere Datei…</translation>
    </message>
    <message>
        <source>Other folder…</source>
        <translation>Anderer Ordner…</translation>
    </message>
    <message>
        <source>Shown on this screen only. Rows are named by file and number, their words are not shown.</source>
        <translation>Nur auf diesem Bildschirm zu sehen. Zeilen werden mit Datei und Nummer genannt, ihr Wortlaut wird nicht gezeigt.</translation>
    </message>
    <message>
        <source>This site&apos;s notes</source>
        <translation>Texte dieses Standorts</translation>
    </message>
    <message>
        <source>This site&apos;s notes, as {federation} would use them: {folder}</source>
        <translation>Texte dieses Standorts, wie {federation} sie verwenden würde: {folder}</translation>
    </message>
</context>
<context>
    <name>NotesReport</name>
    <message>
        <source>Columns of the table</source>
        <translation>Spalten der Tabelle</translation>
    </message>
    <message>
        <source>Labels</source>
        <translation>Annotationen</translation>
    </message>
    <message>
        <source>Length</source>
        <translation>Länge</translation>
    </message>
    <message>
        <source>Notes that are nearly the same</source>
        <translation>Fast gleiche Texte</translation>
    </message>
    <message>
        <source>Noticed while reading</source>
        <translation>Beim Lesen aufgefallen</translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation>Zahlen</translation>
    </message>
    <message>
        <source>Rows that cannot be used</source>
        <translation>Nicht verwendbare Zeilen</translation>
    </message>
    <message>
        <source>What looks like identifiers</source>
        <translation>Mögliche Personenangaben</translation>
    </message>
</context>
<context>
    <name>OutcomeView</name>
    <message>
        <source>Sent so far</source>
        <translation>Bisher gesendet</translation>
    </message>
</context>
<context>
    <name>PageView</name>
    <message>
        <source>Guide: {page}</source>
        <translation>Anleitung: {page}</translation>
    </message>
    <message>
        <source>Open this picture larger: {what}</source>
        <translation>Dieses Bild größer öffnen: {what}</translation>
    </message>
</context>
<context>
    <name>PairRow</name>
    <message>
        <source>{name}: this site {own}, federation {federation}</source>
        <translation>{name}: dieser Standort {own}, Föderation {federation}</translation>
    </message>
</context>
<context>
    <name>PictureDialog</name>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
</context>
<context>
    <name>PolicyCard</name>
    <message>
        <source>How a policy is written</source>
        <translation>Wie eine Richtlinie geschrieben wird</translation>
    </message>
    <message>
        <source>It can only make the program stricter, and is changed in its file.</source>
        <translation>Sie kann das Programm nur strenger machen und wird in ihrer Datei geändert.</translation>
    </message>
</context>
<context>
    <name>PolicyLine</name>
    <message>
        <source>Second &amp;person (the name of their account)</source>
        <translation>Zweite &amp;Person (der Name ihres Kontos)</translation>
    </message>
    <message>
        <source>Second person</source>
        <translation>Zweite Person</translation>
    </message>
</context>
<context>
    <name>PolicyRow</name>
    <message>
        <source>{sentence} Set by your administrator.</source>
        <translation>{sentence} Von Ihrem Administrator festgelegt.</translation>
    </message>
</context>
<context>
    <name>PreviewCard</name>
    <message>
        <source>Note {n} of your folder</source>
        <translation>Text {n} aus Ihrem Ordner</translation>
    </message>
    <message>
        <source>Once a notes folder is chosen, three of its notes are shown here, with their entities marked.</source>
        <translation>Sobald ein Textordner gewählt ist, werden hier drei seiner Texte gezeigt, mit markierten Entitäten.</translation>
    </message>
    <message>
        <source>Reading your notes…</source>
        <translation>Ihre Texte werden gelesen…</translation>
    </message>
    <message>
        <source>Shown on this screen only; nothing is copied or sent.</source>
        <translation>Nur auf diesem Bildschirm zu sehen; nichts wird kopiert oder gesendet.</translation>
    </message>
    <message>
        <source>Your notes, as training will see them</source>
        <translation>Ihre Texte, wie das Training sie sieht</translation>
    </message>
    <message>
        <source>and {n} more types</source>
        <translation>und {n} weitere Typen</translation>
    </message>
</context>
<context>
    <name>ProxyCard</name>
    <message>
        <source>Only if the proxy wants one; the name is in its address. It is kept in this program&apos;s settings file, which only your account can read, but which is not encrypted.</source>
        <translation>Nur wenn der Proxy eines verlangt; der Name steht in seiner Adresse. Es wird in der Einstellungsdatei dieses Programms aufbewahrt, die nur Ihr Konto lesen kann, die aber nicht verschlüsselt ist.</translation>
    </message>
    <message>
        <source>Password for the proxy</source>
        <translation>Passwort für den Proxy</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>Proxy</translation>
    </message>
    <message>
        <source>The check below uses the proxy at once; taking part does from the next start of the program.</source>
        <translation>Die Prüfung unten verwendet den Proxy sofort, die Teilnahme ab dem nächsten Start des Programms.</translation>
    </message>
    <message>
        <source>“system”: as this computer&apos;s settings say. “none”: no proxy. Or the address of a proxy.</source>
        <translation>„system“: wie in den Einstellungen dieses Rechners. „none“: kein Proxy. Oder die Adresse eines Proxys.</translation>
    </message>
</context>
<context>
    <name>Queue</name>
    <message>
        <source>Waiting updates</source>
        <translation>Wartende Beiträge</translation>
    </message>
</context>
<context>
    <name>ReasonForm</name>
    <message>
        <source>&amp;Reason (kept in this site&apos;s record, never sent)</source>
        <translation>&amp;Grund (bleibt im Protokoll, wird nie gesendet)</translation>
    </message>
    <message>
        <source>Hold</source>
        <translation>Zurückstellen</translation>
    </message>
    <message>
        <source>Keep on site</source>
        <translation>Am Standort behalten</translation>
    </message>
    <message>
        <source>Reason</source>
        <translation>Grund</translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation>Adapter senden</translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation>An einem Text ausprobieren</translation>
    </message>
    <message>
        <source>Your name</source>
        <translation>Ihr Name</translation>
    </message>
    <message>
        <source>Your name, as it should appear in this site&apos;s record</source>
        <translation>Ihr Name, wie er im Protokoll dieses Standorts stehen soll</translation>
    </message>
</context>
<context>
    <name>Results</name>
    <message>
        <source>Pages that were found</source>
        <translation>Gefundene Seiten</translation>
    </message>
</context>
<context>
    <name>RevealsCard</name>
    <message>
        <source>Hide numbers</source>
        <translation>Zahlen verbergen</translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation>Zahlen</translation>
    </message>
    <message>
        <source>What each of these means, and what it does not</source>
        <translation>Was jede davon bedeutet, und was nicht</translation>
    </message>
    <message>
        <source>What it may reveal</source>
        <translation>Was er verraten kann</translation>
    </message>
</context>
<context>
    <name>RoundsPage</name>
    <message>
        <source>Host a federation</source>
        <translation>Eine Föderation betreiben</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Einer Föderation beitreten</translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation>Noch keine Föderation</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Demo ansehen</translation>
    </message>
    <message>
        <source>Train one model together with other sites. Your notes stay on this computer.</source>
        <translation>Trainieren Sie gemeinsam mit anderen Standorten ein Modell. Ihre Texte bleiben auf diesem Rechner.</translation>
    </message>
    <message>
        <source>Try a model</source>
        <translation>Ein Modell ausprobieren</translation>
    </message>
</context>
<context>
    <name>RunCard</name>
    <message>
        <source>Stop</source>
        <translation>Anhalten</translation>
    </message>
</context>
<context>
    <name>SaveEvidence</name>
    <message>
        <source>Exactly what is decided on (JSON)…</source>
        <translation>Genau das, worüber entschieden wird (JSON)…</translation>
    </message>
    <message>
        <source>Save evidence</source>
        <translation>Nachweis speichern</translation>
    </message>
    <message>
        <source>Save the evidence</source>
        <translation>Den Nachweis speichern</translation>
    </message>
    <message>
        <source>Save the evidence on this update</source>
        <translation>Den Nachweis zu diesem Beitrag speichern</translation>
    </message>
    <message>
        <source>Saved as {path}</source>
        <translation>Gespeichert als {path}</translation>
    </message>
    <message>
        <source>Saved as {path}. Its sha256 is in the record of the decision.</source>
        <translation>Gespeichert als {path}. Der sha256 der Datei steht im Protokoll der Entscheidung.</translation>
    </message>
    <message>
        <source>To read and print (PDF)…</source>
        <translation>Zum Lesen und Drucken (PDF)…</translation>
    </message>
</context>
<context>
    <name>SaveResults</name>
    <message>
        <source>Marks for BRAT (a folder)…</source>
        <translation>Markierungen für BRAT (ein Ordner)…</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>Speichern</translation>
    </message>
    <message>
        <source>Save for other programs</source>
        <translation>Für andere Programme speichern</translation>
    </message>
    <message>
        <source>Save what was found</source>
        <translation>Gefundenes speichern</translation>
    </message>
    <message>
        <source>Saved as {path}. It contains the note&apos;s words: keep it only where the note itself may be kept.</source>
        <translation>Gespeichert als {path}. Darin steht der Wortlaut des Textes: Bewahren Sie es nur dort auf, wo auch der Text sein darf.</translation>
    </message>
    <message>
        <source>The adapter (a PEFT folder)…</source>
        <translation>Der Adapter (ein PEFT-Ordner)…</translation>
    </message>
    <message>
        <source>The model with the adapter in it (a folder)…</source>
        <translation>Das Modell mit dem Adapter darin (ein Ordner)…</translation>
    </message>
    <message>
        <source>What was found (JSON)…</source>
        <translation>Was gefunden wurde (JSON)…</translation>
    </message>
</context>
<context>
    <name>SavedLine</name>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
</context>
<context>
    <name>SearchRow</name>
    <message numerus="yes">
        <source>%n on this page</source>
        <translation>
            <numerusform>%n auf dieser Seite</numerusform>
            <numerusform>%n auf dieser Seite</numerusform>
        </translation>
    </message>
    <message>
        <source>Any time</source>
        <translation>Jederzeit</translation>
    </message>
    <message>
        <source>Decisions</source>
        <translation>Entscheidungen</translation>
    </message>
    <message>
        <source>End the search (Escape)</source>
        <translation>Suche beenden (Esc)</translation>
    </message>
    <message>
        <source>Everything</source>
        <translation>Alles</translation>
    </message>
    <message>
        <source>Failed or refused</source>
        <translation>Fehlgeschlagen oder abgelehnt</translation>
    </message>
    <message>
        <source>Kind of entry</source>
        <translation>Art des Eintrags</translation>
    </message>
    <message>
        <source>Last 12 months</source>
        <translation>Letzte 12 Monate</translation>
    </message>
    <message>
        <source>Last 24 hours</source>
        <translation>Letzte 24 Stunden</translation>
    </message>
    <message>
        <source>Last 30 days</source>
        <translation>Letzte 30 Tage</translation>
    </message>
    <message>
        <source>Last 7 days</source>
        <translation>Letzte 7 Tage</translation>
    </message>
    <message>
        <source>Next place on this page (F3)</source>
        <translation>Nächste Stelle auf dieser Seite (F3)</translation>
    </message>
    <message>
        <source>Not reviewed yet</source>
        <translation>Noch nicht durchgesehen</translation>
    </message>
    <message>
        <source>Previous place on this page (Shift+F3)</source>
        <translation>Vorige Stelle auf dieser Seite (Umschalt+F3)</translation>
    </message>
    <message>
        <source>Program and keys</source>
        <translation>Programm und Schlüssel</translation>
    </message>
    <message>
        <source>Search in the record</source>
        <translation>Im Protokoll suchen</translation>
    </message>
    <message>
        <source>Search the guide</source>
        <translation>Anleitung durchsuchen</translation>
    </message>
    <message>
        <source>Search the guide (Ctrl+F)</source>
        <translation>Anleitung durchsuchen (Strg+F)</translation>
    </message>
    <message>
        <source>Search: a name, a reason, a hash, 2026-11-29</source>
        <translation>Suche: ein Name, ein Grund, ein Hash, 2026-11-29</translation>
    </message>
    <message>
        <source>Taking part</source>
        <translation>Teilnahme</translation>
    </message>
    <message>
        <source>The guide is in English: search for English words.</source>
        <translation>Die Anleitung ist auf Englisch: Suchen Sie nach englischen Wörtern.</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Zeit</translation>
    </message>
    <message>
        <source>Training and rounds</source>
        <translation>Training und Runden</translation>
    </message>
    <message>
        <source>{number} of {count} on this page</source>
        <translation>{number} von {count} auf dieser Seite</translation>
    </message>
</context>
<context>
    <name>ServedPanel</name>
    <message>
        <source>Coordinator</source>
        <translation>Koordinator</translation>
    </message>
    <message>
        <source>Host another federation</source>
        <translation>Eine andere Föderation betreiben</translation>
    </message>
    <message>
        <source>Serve it again</source>
        <translation>Wieder starten</translation>
    </message>
    <message>
        <source>Stop serving…</source>
        <translation>Anhalten…</translation>
    </message>
</context>
<context>
    <name>SettingsPage</name>
    <message>
        <source>A support bundle holds versions, settings and the end of the log, without notes, names of files or secrets. You see all of it before it is saved.</source>
        <translation>Ein Support-Paket enthält Versionen, Einstellungen und das Ende des Logs, ohne Texte, Dateinamen oder Geheimnisse. Sie sehen alles davon, bevor es gespeichert wird.</translation>
    </message>
    <message>
        <source>Check the connection</source>
        <translation>Verbindung prüfen</translation>
    </message>
    <message>
        <source>Checks the connection to the coordinator, disk, memory and secret key. It joins nothing.</source>
        <translation>Prüft die Verbindung zum Koordinator, Festplatte, Speicher und geheimen Schlüssel. Es wird nirgends beigetreten.</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Help from others</source>
        <translation>Hilfe von anderen</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Wird geprüft…</translation>
    </message>
    <message>
        <source>Saved as {path}.</source>
        <translation>Gespeichert als {path}.</translation>
    </message>
    <message>
        <source>Secret key of this site</source>
        <translation>Geheimer Schlüssel dieses Standorts</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Einstellungen</translation>
    </message>
    <message>
        <source>Support bundle…</source>
        <translation>Support-Paket…</translation>
    </message>
    <message>
        <source>This computer has not joined a federation yet. Join checks the connection too.</source>
        <translation>Dieser Rechner ist noch keiner Föderation beigetreten. Auch „Beitreten“ prüft die Verbindung.</translation>
    </message>
    <message>
        <source>What you choose here is kept on this computer. It applies at once, unless it says otherwise.</source>
        <translation>Was Sie hier wählen, bleibt auf diesem Rechner. Es gilt sofort, wo nichts anderes steht.</translation>
    </message>
</context>
<context>
    <name>SharedCard</name>
    <message>
        <source>Federation</source>
        <translation>Föderation</translation>
    </message>
    <message>
        <source>Never: words of notes, labels, names of files, your name or your reasons.</source>
        <translation>Nie: Wortlaut der Texte, Annotationen, Dateinamen, Ihr Name oder Ihre Gründe.</translation>
    </message>
    <message>
        <source>Only after you approve, round by round: the adapter, and numbers such as counts and scores.</source>
        <translation>Nur nach Ihrer Freigabe, Runde für Runde: der Adapter und Zahlen wie Anzahlen und Scores.</translation>
    </message>
    <message>
        <source>This site</source>
        <translation>Dieser Standort</translation>
    </message>
    <message>
        <source>This site compared with the federation</source>
        <translation>Dieser Standort neben der Föderation</translation>
    </message>
    <message>
        <source>What is shared</source>
        <translation>Was geteilt wird</translation>
    </message>
    <message>
        <source>While you take part: this site&apos;s name and public key, the model&apos;s fingerprint, and how far a round is here.</source>
        <translation>Solange Sie teilnehmen: Name und öffentlicher Schlüssel dieses Standorts, der Fingerabdruck des Modells, und wie weit eine Runde hier ist.</translation>
    </message>
</context>
<context>
    <name>SheetHead</name>
    <message>
        <source>Close</source>
        <translation>Schließen</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>Kopiert</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Kopieren</translation>
    </message>
    <message>
        <source>Copy the whole fingerprint (sha256)</source>
        <translation>Den ganzen Fingerabdruck (sha256) kopieren</translation>
    </message>
    <message>
        <source>Fingerprint</source>
        <translation>Fingerabdruck</translation>
    </message>
    <message>
        <source>Go to your decision</source>
        <translation>Zu Ihrer Entscheidung</translation>
    </message>
    <message>
        <source>To {address}</source>
        <translation>An {address}</translation>
    </message>
</context>
<context>
    <name>SheetView</name>
    <message>
        <source>Every number</source>
        <translation>Jede Zahl</translation>
    </message>
    <message>
        <source>Every number that leaves</source>
        <translation>Jede Zahl, die hinausgeht</translation>
    </message>
    <message>
        <source>Fewer numbers</source>
        <translation>Weniger Zahlen</translation>
    </message>
    <message>
        <source>For specialists</source>
        <translation>Für Fachleute</translation>
    </message>
    <message>
        <source>Hide every number</source>
        <translation>Nicht mehr jede Zahl zeigen</translation>
    </message>
    <message>
        <source>How it differs</source>
        <translation>Wie er sich unterscheidet</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Wie gut er arbeitet</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Schicht für Schicht</translation>
    </message>
    <message>
        <source>Nothing else: no note text, no marked words, no person&apos;s name, no reason.</source>
        <translation>Sonst nichts: kein Wortlaut der Texte, keine markierten Wörter, kein Personenname, kein Grund.</translation>
    </message>
    <message>
        <source>Value</source>
        <translation>Wert</translation>
    </message>
    <message>
        <source>What drift and norm are</source>
        <translation>Was Drift und Norm sind</translation>
    </message>
    <message>
        <source>What leaves</source>
        <translation>Was hinausgeht</translation>
    </message>
    <message>
        <source>What stays here</source>
        <translation>Was hier bleibt</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Was diese Zahlen bedeuten</translation>
    </message>
    <message>
        <source>What these words mean</source>
        <translation>Was diese Wörter bedeuten</translation>
    </message>
</context>
<context>
    <name>SideCard</name>
    <message>
        <source>Choose adapter…</source>
        <translation>Adapter wählen…</translation>
    </message>
    <message>
        <source>The note has not been read with this one yet.</source>
        <translation>Hiermit noch nicht gelesen.</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Was diese Zahlen bedeuten</translation>
    </message>
    <message>
        <source>{side}: part of the note that is read</source>
        <translation>{side}: bereits gelesener Teil des Textes</translation>
    </message>
    <message>
        <source>{side}: read with</source>
        <translation>{side}: gelesen mit</translation>
    </message>
    <message>
        <source>{side}: what was found</source>
        <translation>{side}: was gefunden wurde</translation>
    </message>
</context>
<context>
    <name>SitesPanel</name>
    <message>
        <source>Begin without the others…</source>
        <translation>Ohne die anderen beginnen…</translation>
    </message>
    <message>
        <source>Choose a site in the table first.</source>
        <translation>Wählen Sie zuerst einen Standort in der Tabelle.</translation>
    </message>
    <message>
        <source>Close the round…</source>
        <translation>Runde beenden…</translation>
    </message>
    <message>
        <source>Confirm…</source>
        <translation>Bestätigen…</translation>
    </message>
    <message>
        <source>End and publish…</source>
        <translation>Beenden und veröffentlichen…</translation>
    </message>
    <message>
        <source>Federation</source>
        <translation>Föderation</translation>
    </message>
    <message>
        <source>Invite a site…</source>
        <translation>Standort einladen…</translation>
    </message>
    <message>
        <source>Invite anew…</source>
        <translation>Neu einladen…</translation>
    </message>
    <message>
        <source>Open invitations</source>
        <translation>Offene Einladungen</translation>
    </message>
    <message>
        <source>Pause…</source>
        <translation>Pausieren…</translation>
    </message>
    <message>
        <source>Remove…</source>
        <translation>Entfernen…</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <source>Sites</source>
        <translation>Standorte</translation>
    </message>
    <message>
        <source>Take back…</source>
        <translation>Zurücknehmen…</translation>
    </message>
    <message>
        <source>Wait no longer…</source>
        <translation>Nicht länger warten…</translation>
    </message>
</context>
<context>
    <name>SplitCard</name>
    <message>
        <source>Proposed split</source>
        <translation>Vorgeschlagene Aufteilung</translation>
    </message>
    <message>
        <source>Write the split…</source>
        <translation>Aufteilung schreiben…</translation>
    </message>
</context>
<context>
    <name>Stepper</name>
    <message>
        <source>All {count} steps are done</source>
        <translation>Alle {count} Schritte sind erledigt</translation>
    </message>
    <message>
        <source>Step {n} of {count} failed: {word}</source>
        <translation>Schritt {n} von {count} fehlgeschlagen: {word}</translation>
    </message>
    <message>
        <source>Step {n} of {count}: {word}</source>
        <translation>Schritt {n} von {count}: {word}</translation>
    </message>
    <message>
        <source>Steps of this round</source>
        <translation>Schritte dieser Runde</translation>
    </message>
</context>
<context>
    <name>StoryRow</name>
    <message>
        <source>The host invites you: with one line, a file, or a QR code. It works once.</source>
        <translation>Der Betreiber lädt Sie ein: mit einer Zeile, einer Datei oder einem QR-Code. Die Einladung gilt einmal.</translation>
    </message>
    <message>
        <source>You compare six words with the host by phone. If they match, nobody is intercepting the connection.</source>
        <translation>Sie vergleichen am Telefon sechs Wörter mit dem Betreiber. Stimmen sie überein, fängt niemand die Verbindung ab.</translation>
    </message>
    <message>
        <source>You enter it here, with the model and your notes, and join.</source>
        <translation>Sie geben die Einladung hier an, mit dem Modell und Ihren Texten, und treten bei.</translation>
    </message>
</context>
<context>
    <name>SupportDialog</name>
    <message>
        <source>Cancel</source>
        <translation>Abbrechen</translation>
    </message>
    <message>
        <source>Content of the support bundle</source>
        <translation>Inhalt des Support-Pakets</translation>
    </message>
    <message>
        <source>Save the support bundle</source>
        <translation>Support-Paket speichern</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>Speichern…</translation>
    </message>
</context>
<context>
    <name>TaskPanel</name>
    <message>
        <source>&amp;Answers</source>
        <translation>&amp;Antworten</translation>
    </message>
    <message>
        <source>&amp;Question</source>
        <translation>&amp;Frage</translation>
    </message>
    <message>
        <source>&amp;Task</source>
        <translation>Auf&amp;gabe</translation>
    </message>
    <message>
        <source>Answers to choose from, with | between them</source>
        <translation>Antworten zur Auswahl, mit | dazwischen</translation>
    </message>
    <message>
        <source>Does the note say that …?</source>
        <translation>Steht im Text, dass …?</translation>
    </message>
    <message>
        <source>Question about the note</source>
        <translation>Frage zum Text</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>Aufgabe</translation>
    </message>
</context>
<context>
    <name>TaskTicks</name>
    <message>
        <source>Tasks</source>
        <translation>Aufgaben</translation>
    </message>
</context>
<context>
    <name>Tray</name>
    <message>
        <source>Continue training</source>
        <translation>Training fortsetzen</translation>
    </message>
    <message>
        <source>Open the window</source>
        <translation>Fenster öffnen</translation>
    </message>
    <message>
        <source>Pause training</source>
        <translation>Training pausieren</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Beenden</translation>
    </message>
</context>
<context>
    <name>TrialHead</name>
    <message>
        <source>All files (*)</source>
        <translation>Alle Dateien (*)</translation>
    </message>
    <message>
        <source>Ctrl+Enter</source>
        <translation>Strg+Eingabe</translation>
    </message>
    <message>
        <source>Escape</source>
        <translation>Esc</translation>
    </message>
    <message>
        <source>Examples</source>
        <translation>Beispiele</translation>
    </message>
    <message>
        <source>Open a note</source>
        <translation>Text öffnen</translation>
    </message>
    <message>
        <source>Open note…</source>
        <translation>Text öffnen…</translation>
    </message>
    <message>
        <source>Read note</source>
        <translation>Text lesen</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Anhalten</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>Wird angehalten…</translation>
    </message>
    <message>
        <source>Text files (*.txt *.text *.md)</source>
        <translation>Textdateien (*.txt *.text *.md)</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Ausprobieren</translation>
    </message>
</context>
<context>
    <name>TrialPage</name>
    <message>
        <source>Left side</source>
        <translation>Linke Seite</translation>
    </message>
    <message>
        <source>Read it with the base model as well, to compare</source>
        <translation>Zum Vergleich auch mit dem Basismodell lesen</translation>
    </message>
    <message>
        <source>Research demonstration. Not for diagnosis or treatment.</source>
        <translation>Forschungsdemonstration. Nicht für Diagnose oder Behandlung.</translation>
    </message>
    <message>
        <source>Right side</source>
        <translation>Rechte Seite</translation>
    </message>
    <message>
        <source>The note has not been read with this one yet.</source>
        <translation>Hiermit noch nicht gelesen.</translation>
    </message>
    <message>
        <source>What this adapter finds is shown here.</source>
        <translation>Was dieser Adapter findet, wird hier gezeigt.</translation>
    </message>
    <message>
        <source>What this model finds is shown here.</source>
        <translation>Was dieses Modell findet, wird hier gezeigt.</translation>
    </message>
</context>
<context>
    <name>TypeButton</name>
    <message>
        <source>Show or hide these marks</source>
        <translation>Diese Markierungen zeigen oder verbergen</translation>
    </message>
    <message>
        <source>{type}, {count} marked</source>
        <translation>{type}, {count} markiert</translation>
    </message>
</context>
<context>
    <name>UsualReasons</name>
    <message>
        <source>Take as the reason: {reason}</source>
        <translation>Als Grund übernehmen: {reason}</translation>
    </message>
    <message>
        <source>Usual reasons</source>
        <translation>Übliche Gründe</translation>
    </message>
</context>
<context>
    <name>VerdictCard</name>
    <message>
        <source>Check of the notes</source>
        <translation>Prüfung der Texte</translation>
    </message>
    <message>
        <source>Looking through the notes…</source>
        <translation>Die Texte werden durchgesehen…</translation>
    </message>
    <message>
        <source>Nothing could be read.</source>
        <translation>Nichts war lesbar.</translation>
    </message>
    <message>
        <source>{n} rows so far</source>
        <translation>Bisher {n} Zeilen</translation>
    </message>
</context>
<context>
    <name>WelcomePage</name>
    <message>
        <source>Back</source>
        <translation>Zurück</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Weiter</translation>
    </message>
    <message>
        <source>Finish</source>
        <translation>Fertig</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Beitreten</translation>
    </message>
    <message>
        <source>Not now, take me to the program</source>
        <translation>Jetzt nicht, direkt zum Programm</translation>
    </message>
    <message>
        <source>Pages of the first run</source>
        <translation>Seiten des ersten Starts</translation>
    </message>
    <message>
        <source>Skip this page</source>
        <translation>Diese Seite überspringen</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>Dieser Rechner</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>Wozu</translation>
    </message>
    <message>
        <source>Your notes</source>
        <translation>Ihre Texte</translation>
    </message>
</context>
<context>
    <name>WherePanel</name>
    <message>
        <source>A coordinator on this computer…</source>
        <translation>Ein Koordinator auf diesem Rechner…</translation>
    </message>
    <message>
        <source>Coordinator&apos;s address</source>
        <translation>Adresse des Koordinators</translation>
    </message>
    <message>
        <source>From a picture…</source>
        <translation>Aus einem Bild…</translation>
    </message>
    <message>
        <source>Invitation</source>
        <translation>Einladung</translation>
    </message>
    <message>
        <source>Invitations (*{suffix} *.txt)</source>
        <translation>Einladungen (*{suffix} *.txt)</translation>
    </message>
    <message>
        <source>Name of this site</source>
        <translation>Name dieses Standorts</translation>
    </message>
    <message>
        <source>Of a coordinator that runs on this computer.</source>
        <translation>Die eines Koordinators, der auf diesem Rechner läuft.</translation>
    </message>
    <message>
        <source>Once connected, Rounds shows six words. Compare them with the host by phone, at a number that you already have.</source>
        <translation>Sobald die Verbindung steht, zeigt „Runden“ sechs Wörter. Vergleichen Sie sie am Telefon mit dem Betreiber, unter einer Nummer, die Sie schon haben.</translation>
    </message>
    <message>
        <source>Open a picture of the QR code</source>
        <translation>Bild des QR-Codes öffnen</translation>
    </message>
    <message>
        <source>Open an invitation</source>
        <translation>Einladung öffnen</translation>
    </message>
    <message>
        <source>Open file…</source>
        <translation>Datei öffnen…</translation>
    </message>
    <message>
        <source>Paste the host&apos;s line, or drop its file or a picture of its QR code anywhere on this page.</source>
        <translation>Fügen Sie die Zeile des Betreibers ein, oder ziehen Sie seine Datei oder ein Bild seines QR-Codes irgendwo auf diese Seite.</translation>
    </message>
    <message>
        <source>Pictures ({kinds})</source>
        <translation>Bilder ({kinds})</translation>
    </message>
    <message>
        <source>The coordinator sees it. It stays yours in this federation.</source>
        <translation>Der Koordinator sieht ihn. In dieser Föderation bleibt es Ihr Name.</translation>
    </message>
    <message>
        <source>With an invitation…</source>
        <translation>Mit einer Einladung…</translation>
    </message>
</context>
<context>
    <name>Window</name>
    <message>
        <source>End the demonstration…</source>
        <translation>Demo beenden…</translation>
    </message>
    <message>
        <source>Guide to this page</source>
        <translation>Anleitung zu dieser Seite</translation>
    </message>
    <message>
        <source>Host a federation…</source>
        <translation>Eine Föderation betreiben…</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Experiment öffnen…</translation>
    </message>
    <message>
        <source>Open the log file</source>
        <translation>Logdatei öffnen</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Beenden</translation>
    </message>
    <message>
        <source>Settings…</source>
        <translation>Einstellungen…</translation>
    </message>
    <message>
        <source>Stop taking part…</source>
        <translation>Teilnahme beenden…</translation>
    </message>
</context>
<context>
    <name>WorkStrip</name>
    <message>
        <source>Continue</source>
        <translation>Fortsetzen</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Pausieren</translation>
    </message>
    <message>
        <source>Progress of the work on this computer</source>
        <translation>Fortschritt der Arbeit auf diesem Rechner</translation>
    </message>
    <message>
        <source>{headline} · not sent</source>
        <translation>{headline} · nicht gesendet</translation>
    </message>
    <message>
        <source>{site}: {line}</source>
        <translation>{site}: {line}</translation>
    </message>
    <message>
        <source>{size} GB memory</source>
        <translation>{size}&#xa0;GB Speicher</translation>
    </message>
</context>
<context>
    <name>_Session</name>
    <message>
        <source>About {method}</source>
        <translation>Über {method}</translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation>Fristen</translation>
    </message>
    <message>
        <source>Each model&apos;s score, out of 100, on test notes that were never trained on: all sites&apos; notes together, and each site&apos;s own.</source>
        <translation>Die Punkte jedes Modells, von 100, auf Testtexten, mit denen nie trainiert wurde: auf denen aller Standorte zusammen und auf denen jedes Standorts.</translation>
    </message>
    <message>
        <source>It took {time}. The full report is {path}.</source>
        <translation>Es dauerte {time}. Der ganze Bericht ist {path}.</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Einer Föderation beitreten</translation>
    </message>
    <message>
        <source>Results</source>
        <translation>Ergebnisse</translation>
    </message>
    <message>
        <source>Scores of the demonstration</source>
        <translation>Scores der Demo</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Demo ansehen</translation>
    </message>
    <message>
        <source>Six words</source>
        <translation>Sechs Wörter</translation>
    </message>
    <message>
        <source>Your rounds so far</source>
        <translation>Ihre bisherigen Runden</translation>
    </message>
</context>
<context>
    <name>errors</name>
    <message>
        <source>--shard-base splits the base model over the processes of one site, but only one process is running. Start it under torchrun, with --nproc-per-node and the number of GPUs.</source>
        <translation>--shard-base teilt das Basismodell auf die Prozesse eines Standorts auf, aber es läuft nur ein Prozess. Starten Sie ihn mit torchrun, mit --nproc-per-node und der Anzahl der GPUs.</translation>
    </message>
    <message>
        <source>A 4-bit base model needs the package bitsandbytes, which is not installed. Install fedmed-desktop[gpu], or continue without 4 bits.</source>
        <translation>Ein 4-Bit-Basismodell braucht das Paket bitsandbytes, das nicht installiert ist. Installieren Sie fedmed-desktop[gpu], oder machen Sie ohne 4 Bit weiter.</translation>
    </message>
    <message>
        <source>A base model in 4 bits cannot be split over several GPUs. Leave out --nf4 or --shard-base.</source>
        <translation>Ein Basismodell in 4 Bit lässt sich nicht auf mehrere GPUs aufteilen. Lassen Sie --nf4 oder --shard-base weg.</translation>
    </message>
    <message>
        <source>A column cannot be {role}. Choose from: {known}.</source>
        <translation>Eine Spalte kann nicht „{role}“ sein. Wählen Sie aus: {known}.</translation>
    </message>
    <message>
        <source>A connection to {address} takes {milliseconds} ms.</source>
        <translation>Eine Verbindung zu {address} dauert {milliseconds}&#xa0;ms.</translation>
    </message>
    <message>
        <source>A coordinator is running with {path}. Check a backup instead, which --backup makes while it runs; or stop it first.</source>
        <translation>Mit {path} läuft gerade ein Koordinator. Prüfen Sie stattdessen eine Sicherung, die --backup auch im Betrieb anlegt, oder halten Sie ihn vorher an.</translation>
    </message>
    <message>
        <source>A note of {corpus} has no {what}, so the notes cannot be split by it. Choose another split.by.</source>
        <translation>Bei einem Text von {corpus} fehlt die Angabe „{what}“, deshalb lassen sich die Texte nicht danach aufteilen. Wählen Sie ein anderes split.by.</translation>
    </message>
    <message>
        <source>A piece of an adapter cannot be accepted: {reason}. The transfer starts again.</source>
        <translation>Ein Stück eines Adapters kann nicht angenommen werden: {reason}. Die Übertragung beginnt von vorn.</translation>
    </message>
    <message>
        <source>A question needs at least two answers to choose from. Write | between them.</source>
        <translation>Eine Frage braucht mindestens zwei Antworten zur Auswahl. Schreiben Sie | dazwischen.</translation>
    </message>
    <message>
        <source>A rule needs a reason: say in a few words why every update may be sent.</source>
        <translation>Eine Regel braucht einen Grund: Sagen Sie in wenigen Worten, warum jeder Beitrag gesendet werden darf.</translation>
    </message>
    <message>
        <source>A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing was taken from it. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation>Eine Signatur ({purpose}) stammt nicht vom Schlüssel mit dem Fingerabdruck {fingerprint}. Nichts wurde daraus übernommen. Wenn das noch einmal geschieht, sagen Sie es dem Betreiber: Jemand verändert vielleicht, was gesendet wird.</translation>
    </message>
    <message>
        <source>A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing was taken from that message. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation>Eine Signatur ({purpose}) stammt nicht vom Schlüssel mit dem Fingerabdruck {fingerprint}. Nichts wurde aus dieser Nachricht übernommen. Wenn das noch einmal geschieht, sagen Sie es dem Betreiber: Jemand verändert vielleicht, was gesendet wird.</translation>
    </message>
    <message>
        <source>A stored update of {sites} in round {round} is missing or damaged. The site is asked to send it again when it is connected.</source>
        <translation>Ein gespeicherter Beitrag von {sites} aus Runde {round} fehlt oder ist beschädigt. Der Standort wird gebeten, ihn erneut zu senden, sobald er verbunden ist.</translation>
    </message>
    <message>
        <source>All notes belong together, so they cannot be split into train and validation. Add notes of other patients or documents.</source>
        <translation>Alle Texte gehören zusammen und lassen sich deshalb nicht in Training und Validierung aufteilen. Nehmen Sie Texte anderer Patienten oder Dokumente hinzu.</translation>
    </message>
    <message>
        <source>An invitation must say where sites find this coordinator. Give --public-address HOST:PORT, here or when you start the coordinator.</source>
        <translation>Eine Einladung muss sagen, wo Standorte diesen Koordinator finden. Geben Sie --public-address HOST:PORT an, hier oder beim Start des Koordinators.</translation>
    </message>
    <message>
        <source>An update from this site already counts in this round. A second one is not accepted.</source>
        <translation>In dieser Runde zählt bereits ein Beitrag dieses Standorts. Ein zweiter wird nicht angenommen.</translation>
    </message>
    <message>
        <source>Another connection with the name {site} replaced this one. Run each site only once.</source>
        <translation>Eine andere Verbindung mit dem Namen {site} hat diese ersetzt. Starten Sie jeden Standort nur einmal.</translation>
    </message>
    <message>
        <source>Another fedmed-desktop has been writing to {path} for several seconds. Try again in a moment.</source>
        <translation>Ein anderes fedmed-desktop schreibt seit mehreren Sekunden in {path}. Versuchen Sie es gleich noch einmal.</translation>
    </message>
    <message>
        <source>Another fedmed-desktop has the folder {path} open. This one saves no settings and no log, and cannot take part in the other one&apos;s federation. Close one of them, or start with another --data-dir.</source>
        <translation>Ein anderes fedmed-desktop hat den Ordner {path} geöffnet. Dieses hier speichert keine Einstellungen und kein Log und kann an der Föderation des anderen nicht teilnehmen. Schließen Sie eines davon, oder starten Sie mit einem anderen --data-dir.</translation>
    </message>
    <message>
        <source>Another process of this site has ended or does not answer, so this one ends too. The other&apos;s last messages are above. Start torchrun again with the same --data-dir: training continues from its checkpoint.</source>
        <translation>Ein anderer Prozess dieses Standorts ist beendet oder antwortet nicht, deshalb endet auch dieser. Was er vorher gemeldet hat, steht oben. Starten Sie torchrun noch einmal mit demselben --data-dir: Das Training geht ab seinem letzten Sicherungspunkt weiter.</translation>
    </message>
    <message>
        <source>Another program answers at {address}, not a coordinator. Check the address and the port with the host.</source>
        <translation>Unter {address} antwortet ein anderes Programm, kein Koordinator. Prüfen Sie Adresse und Port mit dem Betreiber.</translation>
    </message>
    <message>
        <source>Another round has closed in the meantime, so there is a newer common adapter. Look at that one, then publish it.</source>
        <translation>Inzwischen wurde eine weitere Runde beendet, und ihr Adapter ist jetzt der gemeinsame. Sehen Sie ihn an und veröffentlichen Sie dann diesen.</translation>
    </message>
    <message>
        <source>Another site has already joined with the name {site}. Choose another --name, or use the data folder that this site joined with.</source>
        <translation>Ein anderer Standort ist schon mit dem Namen {site} beigetreten. Wählen Sie einen anderen --name, oder verwenden Sie den Datenordner, mit dem dieser Standort beigetreten ist.</translation>
    </message>
    <message>
        <source>Both sides speak version {version} of the protocol.</source>
        <translation>Beide Seiten sprechen Version {version} des Kommunikationsprotokolls.</translation>
    </message>
    <message>
        <source>Connections to {address} would not be encrypted. Only addresses of this computer, such as 127.0.0.1, are served without a certificate.</source>
        <translation>Verbindungen zu {address} wären nicht verschlüsselt. Ohne Zertifikat werden nur Adressen dieses Rechners bedient, etwa 127.0.0.1.</translation>
    </message>
    <message>
        <source>Differential privacy is computed by one process, and this site trains in several. Start it without torchrun.</source>
        <translation>Differential Privacy wird von einem einzigen Prozess berechnet, und dieser Standort trainiert in mehreren. Starten Sie ihn ohne torchrun.</translation>
    </message>
    <message>
        <source>Differential privacy needs numbers that do not overflow, and this GPU computes in float16. Train on a GPU with bfloat16, or on the CPU.</source>
        <translation>Differential Privacy braucht Zahlen, die nicht überlaufen, und diese GPU rechnet in float16. Trainieren Sie auf einer GPU mit bfloat16 oder auf der CPU.</translation>
    </message>
    <message>
        <source>Directions were not compared, as there are only {updates} updates: three are needed.</source>
        <translation>Die Richtungen wurden nicht verglichen, da es nur {updates} Beiträge gibt: Nötig sind drei.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be.</source>
        <translation>Jeder ganze Standort ist durch Differential Privacy verborgen: Epsilon {epsilon} (Delta {delta}) in allen Runden zusammen, je kleiner, desto besser. Jeder Standort addiert seinen Anteil des Rauschens zu dem, was er maskiert, sodass niemand es ohne Rauschen sieht. Alle Standorte zählen gleich. Bei {sites} Standorten ist das Rauschen einer Runde etwa {times}-mal so groß, wie das Mittel ihrer Beiträge sein kann.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: expect to learn slowly, and little.</source>
        <translation>Jeder ganze Standort ist durch Differential Privacy verborgen: Epsilon {epsilon} (Delta {delta}) in allen Runden zusammen, je kleiner, desto besser. Jeder Standort addiert seinen Anteil des Rauschens zu dem, was er maskiert, sodass niemand es ohne Rauschen sieht. Alle Standorte zählen gleich. Bei {sites} Standorten ist das Rauschen einer Runde etwa {times}-mal so groß, wie das Mittel ihrer Beiträge sein kann: Rechnen Sie damit, dass langsam und wenig gelernt wird.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: most likely nothing would be learned.</source>
        <translation>Jeder ganze Standort ist durch Differential Privacy verborgen: Epsilon {epsilon} (Delta {delta}) in allen Runden zusammen, je kleiner, desto besser. Jeder Standort addiert seinen Anteil des Rauschens zu dem, was er maskiert, sodass niemand es ohne Rauschen sieht. Alle Standorte zählen gleich. Bei {sites} Standorten ist das Rauschen einer Runde etwa {times}-mal so groß, wie das Mittel ihrer Beiträge sein kann: Wahrscheinlich würde nichts gelernt.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be.</source>
        <translation>Jeder ganze Standort ist durch Differential Privacy verborgen: Epsilon {epsilon} (Delta {delta}) in allen Runden zusammen, je kleiner, desto besser. Der Koordinator addiert das Rauschen und sieht jeden Beitrag, wie er ist. Alle Standorte zählen gleich. Bei {sites} Standorten ist das Rauschen einer Runde etwa {times}-mal so groß, wie das Mittel ihrer Beiträge sein kann.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: expect to learn slowly, and little.</source>
        <translation>Jeder ganze Standort ist durch Differential Privacy verborgen: Epsilon {epsilon} (Delta {delta}) in allen Runden zusammen, je kleiner, desto besser. Der Koordinator addiert das Rauschen und sieht jeden Beitrag, wie er ist. Alle Standorte zählen gleich. Bei {sites} Standorten ist das Rauschen einer Runde etwa {times}-mal so groß, wie das Mittel ihrer Beiträge sein kann: Rechnen Sie damit, dass langsam und wenig gelernt wird.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: most likely nothing would be learned.</source>
        <translation>Jeder ganze Standort ist durch Differential Privacy verborgen: Epsilon {epsilon} (Delta {delta}) in allen Runden zusammen, je kleiner, desto besser. Der Koordinator addiert das Rauschen und sieht jeden Beitrag, wie er ist. Alle Standorte zählen gleich. Bei {sites} Standorten ist das Rauschen einer Runde etwa {times}-mal so groß, wie das Mittel ihrer Beiträge sein kann: Wahrscheinlich würde nichts gelernt.</translation>
    </message>
    <message>
        <source>Files in the folder that are not read as notes: {count} ({names}). If they are notes, put them into a format that is read, or into a separate folder.</source>
        <translation>Dateien im Ordner, die nicht als Texte gelesen werden: {count} ({names}). Falls es Texte sind, bringen Sie sie in ein lesbares Format oder legen Sie sie in einen eigenen Ordner.</translation>
    </message>
    <message>
        <source>Files of the model in {path} changed while the program was about to load it. Start again; the program will then check the model again.</source>
        <translation>Dateien des Modells in {path} haben sich geändert, als das Programm sie gerade laden wollte. Starten Sie neu; das Programm prüft das Modell dann noch einmal.</translation>
    </message>
    <message>
        <source>Give --bundle-in and --bundle-out together: the file that came from the host, and another file, which goes back.</source>
        <translation>--bundle-in und --bundle-out gehören zusammen: die Datei, die vom Betreiber kam, und eine andere, die zurückgeht.</translation>
    </message>
    <message>
        <source>Give either an invitation or the address of a coordinator on this computer, not both.</source>
        <translation>Geben Sie entweder eine Einladung an oder die Adresse eines Koordinators auf diesem Rechner, nicht beides.</translation>
    </message>
    <message>
        <source>Groups of nearly identical notes that are in more than one split: {count}. A model is then tested on what it was trained on, and its scores look too good. Move each group into one split.</source>
        <translation>Gruppen fast gleicher Texte, die in mehreren Teilen der Aufteilung vorkommen: {count}. Ein Modell wird dann mit dem getestet, womit es trainiert wurde, und seine Scores wirken zu gut. Legen Sie jede Gruppe in einen einzigen Teil.</translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for rank {rank}, but this site&apos;s limit is {cap} (--rank-cap). The site takes part again when the coordinator asks for a lower rank.</source>
        <translation>In Runde {round} verlangt der Koordinator Rang {rank}, die Grenze dieses Standorts ist aber {cap} (--rank-cap). Der Standort nimmt wieder teil, wenn der Koordinator einen niedrigeren Rang verlangt.</translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for something other than what the federation&apos;s specification says about {method}. Nothing is trained and nothing leaves this site. Tell the host of the federation; the coordinator and the sites must use the same program.</source>
        <translation>In Runde {round} verlangt der Koordinator etwas anderes, als die Spezifikation der Föderation über {method} sagt. Nichts wird trainiert, und nichts verlässt diesen Standort. Sagen Sie es dem Betreiber der Föderation; Koordinator und Standorte müssen dasselbe Programm verwenden.</translation>
    </message>
    <message>
        <source>It is not in a keyring because a coordinator must start without anybody signed in.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil ein Koordinator starten können muss, ohne dass jemand angemeldet ist.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not answer in time when the key was made.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil der Schlüsselbund nicht rechtzeitig antwortete, als der Schlüssel erstellt wurde.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not give back what was stored in it.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil der Schlüsselbund nicht zurückgab, was in ihm gespeichert wurde.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring refused to store it.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil der Schlüsselbund sich weigerte, ihn zu speichern.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring was locked when the key was made.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil der Schlüsselbund gesperrt war, als der Schlüssel erstellt wurde.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the one of this account writes secrets as plain text or asks for a password in a terminal.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil der dieses Kontos Geheimnisse im Klartext schreibt oder in einem Terminal nach einem Passwort fragt.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the program was started without a screen.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil das Programm ohne Bildschirm gestartet wurde.</translation>
    </message>
    <message>
        <source>It is not in a keyring because this computer has none that can be used.</source>
        <translation>Er liegt in keinem Schlüsselbund, weil dieser Rechner keinen hat, der sich verwenden lässt.</translation>
    </message>
    <message>
        <source>It is the coordinator of the invitation (fingerprint {fingerprint}).</source>
        <translation>Es ist der Koordinator der Einladung (Fingerabdruck {fingerprint}).</translation>
    </message>
    <message>
        <source>Models of up to about {number} billion weights. That is a guess from the memory; once you have chosen a model, the check on Join counts.</source>
        <translation>Modelle mit bis zu etwa {number} Milliarden Gewichten. Das ist eine Schätzung nach dem Speicher; sobald Sie ein Modell gewählt haben, zählt die Prüfung unter „Beitreten“.</translation>
    </message>
    <message>
        <source>Models of up to about {number} million weights. That is a guess from the memory; once you have chosen a model, the check on Join counts.</source>
        <translation>Modelle mit bis zu etwa {number} Millionen Gewichten. Das ist eine Schätzung nach dem Speicher; sobald Sie ein Modell gewählt haben, zählt die Prüfung unter „Beitreten“.</translation>
    </message>
    <message>
        <source>Module {module} has different scales at different sites, so its factors cannot be averaged. Write combine = &quot;product&quot; in the federation&apos;s specification.</source>
        <translation>Das Modul {module} hat an verschiedenen Standorten verschiedene Skalierungen, deshalb lassen sich seine Faktoren nicht mitteln. Schreiben Sie combine = &quot;product&quot; in die Spezifikation der Föderation.</translation>
    </message>
    <message>
        <source>Nearly identical notes: {count}, in {groups} groups. They count more than once in training; keep each group in one split.</source>
        <translation>Texte, die fast gleich einem anderen sind: {count}, in {groups} Gruppen. Im Training zählen sie mehrfach; lassen Sie jede Gruppe in einem einzigen Teil der Aufteilung.</translation>
    </message>
    <message>
        <source>No CUDA device was found. Check the driver, or train on the CPU.</source>
        <translation>Es wurde kein CUDA-Gerät gefunden. Prüfen Sie den Treiber, oder trainieren Sie auf der CPU.</translation>
    </message>
    <message>
        <source>No GPU was found that the program can use. Training runs on the processor, which takes many times longer. Small models and the demonstration work well.</source>
        <translation>Es wurde keine GPU gefunden, die das Programm verwenden kann. Das Training läuft auf dem Prozessor und dauert um ein Vielfaches länger. Kleine Modelle und die Demo laufen gut.</translation>
    </message>
    <message>
        <source>No QR code can be made out in this picture. Take one that shows the whole code, sharp and straight from the front; or paste the line instead.</source>
        <translation>In diesem Bild ist kein QR-Code zu erkennen. Nehmen Sie eines, das den ganzen Code zeigt, scharf und gerade von vorn; oder fügen Sie stattdessen die Zeile ein.</translation>
    </message>
    <message>
        <source>No connection to {address} can be made. A firewall in between may be blocking it: ask the people who run this network to allow outgoing TCP connections to {host}, port {port}; or enter the proxy that they use.</source>
        <translation>Es kommt keine Verbindung zu {address} zustande. Vielleicht sperrt eine Firewall dazwischen: Bitten Sie die IT, ausgehende TCP-Verbindungen zu {host}, Port {port}, zu erlauben; oder geben Sie den Proxy an, den sie verwendet.</translation>
    </message>
    <message>
        <source>No coordinator answers on {address}. Start one, or give its --host and --port.</source>
        <translation>Auf {address} antwortet kein Koordinator. Starten Sie einen, oder geben Sie seinen --host und --port an.</translation>
    </message>
    <message>
        <source>No coordinator has run with the folder {path}. Check --data-dir; or start the coordinator with it first.</source>
        <translation>Mit dem Ordner {path} ist noch kein Koordinator gelaufen. Prüfen Sie --data-dir; oder starten Sie zuerst den Koordinator damit.</translation>
    </message>
    <message>
        <source>No corpus of the sites has labels for the task {task}. Add one that has, or leave the task out.</source>
        <translation>Kein Korpus der Standorte hat Annotationen für die Aufgabe {task}. Nehmen Sie eines hinzu, das welche hat, oder lassen Sie die Aufgabe weg.</translation>
    </message>
    <message>
        <source>No encrypted connection to the coordinator at {address} could be made: {reason}. This site keeps trying.</source>
        <translation>Es kam keine verschlüsselte Verbindung zum Koordinator unter {address} zustande: {reason}. Dieser Standort versucht es weiter.</translation>
    </message>
    <message>
        <source>No federation is known in {path}, or another program is using that folder. Name the folder of a site that took part, close the desktop that works with it, or use --federation, --adapter and --out.</source>
        <translation>In {path} ist keine Föderation bekannt, oder ein anderes Programm benutzt diesen Ordner. Nennen Sie den Ordner eines Standorts, der teilgenommen hat, schließen Sie das Programm, das damit arbeitet, oder verwenden Sie --federation, --adapter und --out.</translation>
    </message>
    <message>
        <source>No format fits {name}: {seen}. These formats are read: {formats}.</source>
        <translation>Kein Format passt zu {name}: {seen}. Diese Formate werden gelesen: {formats}.</translation>
    </message>
    <message>
        <source>No invitation was found here. An invitation is one line that begins with fedmed: and comes from the host.</source>
        <translation>Darin ist keine Einladung. Eine Einladung ist eine einzige Zeile, die mit fedmed: beginnt und vom Betreiber kommt.</translation>
    </message>
    <message>
        <source>No proxy is used.</source>
        <translation>Es wird kein Proxy verwendet.</translation>
    </message>
    <message>
        <source>No round has been closed yet, so there is no adapter of this federation to publish.</source>
        <translation>Es wurde noch keine Runde beendet; diese Föderation hat also noch keinen Adapter zum Veröffentlichen.</translation>
    </message>
    <message>
        <source>No site annotates {type}: each has notes of a corpus that does not, or has no such entity. Remove it from types, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation>Kein Standort annotiert {type}: Jeder hat Texte eines Korpus, das es nicht tut, oder hat keine solche Entität. Entfernen Sie den Typ aus types, oder teilen Sie nach &quot;corpus&quot; auf, mit so vielen Standorten wie Korpora.</translation>
    </message>
    <message>
        <source>No site has the name {site}, and no fingerprint begins with it. --sites lists all of them.</source>
        <translation>Kein Standort heißt {site}, und kein Fingerabdruck beginnt so. Mit --sites sehen Sie alle.</translation>
    </message>
    <message>
        <source>No type of entity is chosen. Choose at least one, such as drug.</source>
        <translation>Es ist kein Typ von Entität gewählt. Wählen Sie mindestens einen, etwa drug.</translation>
    </message>
    <message>
        <source>No type of the experiment is annotated in all corpora of {site}. Add a type that all of them have, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation>Kein Typ des Experiments ist in allen Korpora von {site} annotiert. Nehmen Sie einen Typ hinzu, den alle haben, oder teilen Sie nach &quot;corpus&quot; auf, mit so vielen Standorten wie Korpora.</translation>
    </message>
    <message>
        <source>No validation note has labels for {tasks}, so what is learned for this is never scored here. Add such notes to the validation notes.</source>
        <translation>Kein Validierungstext hat Annotationen für {tasks}, deshalb wird hier nie bewertet, was davon gelernt wird. Nehmen Sie solche Texte in die Validierungstexte auf.</translation>
    </message>
    <message>
        <source>None of the columns of {name} is known to hold the notes&apos; text (found: {found}). Rename the column to text, or say which column holds the text.</source>
        <translation>Von keiner Spalte in {name} ist bekannt, dass sie den Wortlaut der Texte enthält (gefunden: {found}). Nennen Sie die Spalte text, oder sagen Sie, welche Spalte ihn enthält.</translation>
    </message>
    <message>
        <source>None of the training notes has labels for the federation&apos;s tasks ({tasks}), so there is nothing to learn. Check that the notes have them, such as answers for questions.</source>
        <translation>Keiner der Trainingstexte hat Annotationen für die Aufgaben der Föderation ({tasks}), es gibt also nichts zu lernen. Prüfen Sie, ob die Texte sie haben, etwa Antworten zu Fragen.</translation>
    </message>
    <message>
        <source>None of the types in these notes ({found}) is part of the federation, so nothing could be learned. Add a types map with rows such as Chemical = &quot;drug&quot;.</source>
        <translation>Keiner der Typen in diesen Texten ({found}) gehört zur Föderation, es könnte also nichts gelernt werden. Geben Sie eine Typenzuordnung mit Zeilen wie Chemical = &quot;drug&quot; dazu.</translation>
    </message>
    <message>
        <source>None of the types in these notes is known to the federation. Found: {found}; the federation&apos;s types: {expected}. Add a types map.</source>
        <translation>Keiner der Typen in diesen Texten ist der Föderation bekannt. Gefunden: {found}; Typen der Föderation: {expected}. Geben Sie eine Typenzuordnung dazu.</translation>
    </message>
    <message>
        <source>None of the {notes} {split} notes has an entity of the federation&apos;s types, so there is nothing to learn or to score. Check that the notes are annotated, under a key that is read (keys that are not: {unread}), and that types.toml names their types.</source>
        <translation>Keiner der {notes} Texte für „{split}“ hat eine Entität von den Typen der Föderation, es gibt also nichts zu lernen oder zu bewerten. Prüfen Sie, ob die Texte annotiert sind, unter einem Schlüssel, der gelesen wird (nicht gelesen: {unread}), und ob types.toml ihre Typen nennt.</translation>
    </message>
    <message>
        <source>Norms were not compared, as only {updates} updates are known: three are needed.</source>
        <translation>Die Normen wurden nicht verglichen, da nur {updates} Beiträge bekannt sind: Nötig sind drei.</translation>
    </message>
    <message>
        <source>Notes with a part that is too long for {most} tokens and is left out: {count}. Ask the host for a larger max_tokens, or shorten the longest mentions.</source>
        <translation>Texte, von denen ein Teil für {most} Tokens zu lang bleibt und ausgelassen wird: {count}. Bitten Sie den Betreiber um ein größeres max_tokens, oder kürzen Sie die längsten Nennungen.</translation>
    </message>
    <message>
        <source>Notes with something that looks like an identifier of a patient: {count}. Look at the rows listed here, and remove what does not belong there.</source>
        <translation>Texte mit etwas, das wie eine identifizierende Angabe zu einem Patienten aussieht: {count}. Sehen Sie sich die genannten Zeilen an, und nehmen Sie heraus, was nicht hineingehört.</translation>
    </message>
    <message>
        <source>Notes without any label: {count}. A task learns from them only if they were annotated for it and nothing was found.</source>
        <translation>Texte ohne jede Annotation: {count}. Eine Aufgabe lernt nur dann aus ihnen, wenn sie dafür annotiert wurden und nichts zu finden war.</translation>
    </message>
    <message>
        <source>Nothing can be written in {path}. Choose another folder.</source>
        <translation>In {path} kann nichts geschrieben werden. Wählen Sie einen anderen Ordner.</translation>
    </message>
    <message>
        <source>Nothing can listen on port {port} of {address} here: {reason}. Give an address of this computer (0.0.0.0 for all of them), and a port from 1024 on.</source>
        <translation>Auf Port {port} von {address} lassen sich hier keine Verbindungen annehmen: {reason}. Geben Sie eine Adresse dieses Rechners an (0.0.0.0 für alle) und einen Port ab 1024.</translation>
    </message>
    <message>
        <source>Nothing is trained, because too little of the privacy budget is left: {spent} of epsilon {epsilon} is spent, and {steps} more steps would need so much noise that nothing could be learned. This site can take part with more notes, or in a federation with fewer rounds or steps, or with a larger epsilon.</source>
        <translation>Es wird nicht trainiert: Vom Privacy-Budget, Epsilon {epsilon}, ist {spent} verbraucht, und {steps} weitere Schritte wären nur mit so viel Rauschen möglich, dass nichts gelernt werden könnte. Dieser Standort kann mit mehr Texten teilnehmen, oder an einer Föderation mit weniger Runden oder Schritten oder mit größerem Epsilon.</translation>
    </message>
    <message>
        <source>Nothing leaves this site until the policy in {path} is right: {key}: {reason}.</source>
        <translation>Nichts verlässt diesen Standort, bis die Richtlinie in {path} stimmt: {key}: {reason}.</translation>
    </message>
    <message>
        <source>Nothing leaves this site: the policy in {path} cannot be read: {reason}. Correct that file.</source>
        <translation>Nichts verlässt diesen Standort: Die Richtlinie in {path} ist nicht lesbar: {reason}. Bringen Sie diese Datei in Ordnung.</translation>
    </message>
    <message>
        <source>Nothing leaves this site: {path} is this computer&apos;s policy, and accounts other than the administrator&apos;s can change it. Make the administrator its owner, and let nobody else write to it or its folder.</source>
        <translation>Nichts verlässt diesen Standort: {path} ist die Richtlinie dieses Rechners, und nicht nur der Administrator kann sie ändern. Machen Sie den Administrator zum Eigentümer, und lassen Sie niemand sonst in die Datei oder ihren Ordner schreiben.</translation>
    </message>
    <message>
        <source>Only {free} is free for the folder {path}, and about {needed} is needed. Free some space, or choose a folder on another disk.</source>
        <translation>Für den Ordner {path} sind nur {free} frei, und etwa {needed} sind nötig. Schaffen Sie Platz, oder wählen Sie einen Ordner auf einer anderen Festplatte.</translation>
    </message>
    <message>
        <source>Only {sites} sites have agreed on what is summed, and {least} are needed before it can be opened.</source>
        <translation>Nur {sites} Standorte haben dem zugestimmt, was summiert wird, und {least} sind nötig, bevor die Summe geöffnet werden kann.</translation>
    </message>
    <message>
        <source>Only {sites} sites mask together, and {least} are needed: from a sum of fewer, a single update could be worked out.</source>
        <translation>Nur {sites} Standorte maskieren gemeinsam, und {least} sind nötig: Aus einer Summe von weniger ließe sich ein einzelner Beitrag errechnen.</translation>
    </message>
    <message>
        <source>Other accounts of this computer can read the secret key in {path}, so it is not used. If nobody else can have read it, make it private (chmod 600) and start again. Otherwise remove it together with identity.json; a site then needs a new invitation with a new key.</source>
        <translation>Andere Konten dieses Rechners können den geheimen Schlüssel in {path} lesen, deshalb wird er nicht verwendet. Wenn ihn niemand sonst gelesen haben kann, machen Sie ihn privat (chmod 600), und starten Sie neu. Andernfalls entfernen Sie ihn zusammen mit identity.json; ein Standort braucht dann eine neue Einladung mit einem neuen Schlüssel.</translation>
    </message>
    <message>
        <source>Patients or documents in the training notes that are in the validation or test notes too: {count}. What is measured on those has no noise, so they would not be protected. Nothing is trained. Split the notes so that all of a patient&apos;s or a document&apos;s stay together (--check-notes NOTES --split-into FOLDER).</source>
        <translation>Patienten oder Dokumente der Trainingstexte, die auch in den Validierungs- oder Testtexten vorkommen: {count}. Was auf diesen gemessen wird, hat kein Rauschen; sie wären also nicht geschützt. Es wird nicht trainiert. Teilen Sie die Texte so auf, dass alle eines Patienten oder Dokuments zusammenbleiben (--check-notes NOTES --split-into FOLDER).</translation>
    </message>
    <message>
        <source>Port {port} and those after it are used by other programs on this computer. Choose another.</source>
        <translation>Port {port} und die danach werden von anderen Programmen auf diesem Rechner benutzt. Wählen Sie einen anderen.</translation>
    </message>
    <message>
        <source>Port {port} is used by another program on this computer. Choose another, such as {free}.</source>
        <translation>Port {port} wird von einem anderen Programm auf diesem Rechner benutzt. Wählen Sie einen anderen, etwa {free}.</translation>
    </message>
    <message>
        <source>Port {port} on {address} is already used by another program. Choose another with {option}.</source>
        <translation>Port {port} auf {address} wird schon von einem anderen Programm verwendet. Wählen Sie mit {option} einen anderen.</translation>
    </message>
    <message>
        <source>PySide6 {qt} crashes Python {python} within minutes, because it frees None. Install an earlier one: python -m pip install &quot;PySide6-Essentials&lt;6.12&quot;</source>
        <translation>PySide6 {qt} lässt Python {python} binnen Minuten abstürzen, weil es None freigibt. Installieren Sie eine frühere Version: python -m pip install &quot;PySide6-Essentials&lt;6.12&quot;</translation>
    </message>
    <message>
        <source>Qt cannot start because these system libraries are missing: {libraries}. To install them: {how}</source>
        <translation>Qt kann nicht starten, weil diese Systembibliotheken fehlen: {libraries}. So installieren Sie sie: {how}</translation>
    </message>
    <message>
        <source>Ray has {cores} cores, too few for {workers} workers with {threads} threads each. Ask for fewer --workers.</source>
        <translation>Ray hat {cores} Kerne, zu wenige für {workers} Worker mit je {threads} Threads. Verlangen Sie weniger --workers.</translation>
    </message>
    <message>
        <source>Reading {name} needs the package spacy, which is not installed. Install it with: pip install spacy</source>
        <translation>Um {name} zu lesen, ist das Paket spacy nötig, das nicht installiert ist. Installieren Sie es mit: pip install spacy</translation>
    </message>
    <message>
        <source>Round 1 cannot begin: {sites} of the {quorum} sites that a round needs have joined.</source>
        <translation>Runde 1 kann nicht beginnen: Von den {quorum} Standorten, die eine Runde braucht, sind {sites} beigetreten.</translation>
    </message>
    <message>
        <source>Round {round} cannot be carried by removable medium: its updates are masked, and for that all sites exchange messages several times. Connect this site, or ask the host for a federation without secure aggregation.</source>
        <translation>Runde {round} lässt sich nicht auf einem Datenträger überbringen: Ihre Beiträge sind maskiert, und dafür tauschen alle Standorte mehrmals Nachrichten aus. Verbinden Sie diesen Standort, oder bitten Sie den Betreiber um eine Föderation ohne sichere Aggregation.</translation>
    </message>
    <message>
        <source>Round {round} cannot be closed: it has {updates} of the {quorum} updates that it needs.</source>
        <translation>Runde {round} kann nicht beendet werden: Sie hat {updates} von {quorum} nötigen Beiträgen.</translation>
    </message>
    <message>
        <source>Round {round} is closed, and only the sites can open the sum of its updates: {sites} of them are connected or have answered, and {least} are needed. It continues by itself once they are back.</source>
        <translation>Runde {round} ist beendet, und nur die Standorte können die Summe ihrer Beiträge öffnen: {sites} davon sind verbunden oder haben geantwortet, und {least} sind nötig. Es geht von selbst weiter, sobald sie wieder da sind.</translation>
    </message>
    <message>
        <source>Round {round} stopped twice because too few updates were sent. Read above what each site says, then start again.</source>
        <translation>Runde {round} brach zweimal ab, weil zu wenige Beiträge gesendet wurden. Lesen Sie oben, was jeder Standort meldet, und starten Sie dann neu.</translation>
    </message>
    <message>
        <source>Row {row} of the table {table} in {path} has a value that is no longer allowed: {place}. The nearest allowed value is used instead.</source>
        <translation>Zeile {row} der Tabelle {table} in {path} hat einen Wert, der nicht mehr erlaubt ist: {place}. Stattdessen wird der nächstliegende erlaubte Wert verwendet.</translation>
    </message>
    <message>
        <source>Row {row} of {path} is not a note in the format of this corpus ({reason}). Use the original corpus.</source>
        <translation>Zeile {row} von {path} ist kein Text im Format dieses Korpus ({reason}). Verwenden Sie das originale Korpus.</translation>
    </message>
    <message>
        <source>Rows that cannot be used: {count}. Correct or remove them; training stops at the first.</source>
        <translation>Nicht verwendbare Zeilen: {count}. Korrigieren oder entfernen Sie sie; das Training hält bei der ersten an.</translation>
    </message>
    <message>
        <source>SOCKS proxies cannot be used. Give an HTTP proxy with --proxy or in Settings, or choose &quot;none&quot;.</source>
        <translation>SOCKS-Proxys sind nicht verwendbar. Geben Sie mit --proxy oder in den Einstellungen einen HTTP-Proxy an, oder wählen Sie &quot;none&quot;.</translation>
    </message>
    <message>
        <source>Sites download the adapter of round {round} in full (float32), because its ranks differ from those of the adapter before it. There is nothing to do.</source>
        <translation>Die Standorte laden den Adapter von Runde {round} vollständig herunter (float32), weil er andere Ränge hat als der vorige. Es ist nichts zu tun.</translation>
    </message>
    <message>
        <source>Sites download the adapter of round {round} in full (float32): in fewer bits it would have lost {percent} % of what the round changed, and the limit is {most} %. If that happens every round, choose a larger transfer.dtype, or take out transfer.down.</source>
        <translation>Die Standorte laden den Adapter von Runde {round} vollständig herunter (float32): In weniger Bits hätte er {percent}&#xa0;% dessen verloren, was die Runde geändert hat, und {most}&#xa0;% ist die Grenze. Wenn das in jeder Runde geschieht, wählen Sie ein größeres transfer.dtype, oder streichen Sie transfer.down.</translation>
    </message>
    <message>
        <source>Some pieces of the notes are too long and are left out: {pieces}. They do not fit into {tokens} tokens, even when cut as small as makes sense; nothing is learned from them, and what they contain counts as missed. Shorten them, or ask the host for a larger max_tokens.</source>
        <translation>Einige Stücke der Texte sind zu lang und werden ausgelassen: {pieces}. Sie passen nicht in {tokens} Tokens, selbst so klein geschnitten, wie es sinnvoll ist; aus ihnen wird nichts gelernt, und was sie enthalten, zählt als übersehen. Kürzen Sie sie, oder bitten Sie den Betreiber um ein größeres max_tokens.</translation>
    </message>
    <message>
        <source>Something stands between this site and the coordinator: the encryption key on the line is {found}, the coordinator&apos;s own is {expected}. Nothing was sent. If your network inspects encrypted traffic, ask its administrators to exempt this address.</source>
        <translation>Etwas steht zwischen diesem Standort und dem Koordinator: Der Schlüssel der verschlüsselten Leitung ist {found}, der des Koordinators ist {expected}. Nichts wurde gesendet. Wenn Ihr Netz verschlüsselten Verkehr durchleuchtet, bitten Sie seine Administratoren, diese Adresse auszunehmen.</translation>
    </message>
    <message>
        <source>Something unexpected went wrong in the program ({kind}). Nothing was sent because of it. Start the program again; if this happens again, send the log file to the person who supports the program.</source>
        <translation>Im Programm ging etwas unerwartet schief ({kind}). Deswegen wurde nichts gesendet. Starten Sie das Programm neu; wenn das noch einmal geschieht, senden Sie die Logdatei an die Person, die das Programm betreut.</translation>
    </message>
    <message>
        <source>That is a guess: the federation&apos;s own settings are not known before this site has joined. These are usual ones: batch size {batch}, up to {tokens} tokens per example, rank {rank}.</source>
        <translation>Das ist eine Schätzung: Die Einstellungen der Föderation sind erst bekannt, wenn dieser Standort beigetreten ist. Übliche sind: Batchgröße {batch}, bis zu {tokens} Tokens je Beispiel, Rang {rank}.</translation>
    </message>
    <message>
        <source>That is for the federation&apos;s own settings: batch size {batch}, up to {tokens} tokens per example, rank {rank}.</source>
        <translation>Das gilt für die Einstellungen der Föderation: Batchgröße {batch}, bis zu {tokens} Tokens je Beispiel, Rang {rank}.</translation>
    </message>
    <message>
        <source>The QR code in this picture is not an invitation&apos;s. Use the one that the host gave you.</source>
        <translation>Der QR-Code in diesem Bild ist nicht der einer Einladung. Verwenden Sie den, den Sie vom Betreiber haben.</translation>
    </message>
    <message>
        <source>The Ray engine needs Ray, which is not installed: pip install &apos;fedmed-desktop[cluster]&apos;. Or leave out --engine ray.</source>
        <translation>Die Ray-Engine braucht Ray, das nicht installiert ist: pip install &apos;fedmed-desktop[cluster]&apos;. Oder lassen Sie --engine ray weg.</translation>
    </message>
    <message>
        <source>The adapter contains no modules. Choose one that adapts at least one linear layer.</source>
        <translation>Der Adapter enthält keine Module. Wählen Sie einen, der mindestens eine lineare Schicht anpasst.</translation>
    </message>
    <message>
        <source>The adapter file {name} cannot be read: {reason}. Check the folder and its permissions.</source>
        <translation>Die Adapterdatei {name} ist nicht lesbar: {reason}. Prüfen Sie den Ordner und seine Zugriffsrechte.</translation>
    </message>
    <message>
        <source>The adapter has format version {version}; this program knows versions up to {known}. Update fedmed-desktop.</source>
        <translation>Der Adapter hat die Formatversion {version}; dieses Programm kennt Versionen bis {known}. Aktualisieren Sie fedmed-desktop.</translation>
    </message>
    <message>
        <source>The adapter has no module {name}. Use adapters made for the same base model.</source>
        <translation>Der Adapter hat kein Modul {name}. Verwenden Sie Adapter für dasselbe Basismodell.</translation>
    </message>
    <message>
        <source>The adapter has {size} bytes, but its tensors end at byte {expected}. Download it again.</source>
        <translation>Der Adapter hat {size} Bytes, seine Tensoren enden aber bei Byte {expected}. Laden Sie ihn noch einmal herunter.</translation>
    </message>
    <message>
        <source>The adapter is incomplete: it has {size} bytes, but needs {expected}. Download it again.</source>
        <translation>Der Adapter ist unvollständig: Er hat {size} Bytes, braucht aber {expected}. Laden Sie ihn noch einmal herunter.</translation>
    </message>
    <message>
        <source>The adapter that arrived is not the one that was approved: its sha256 is {found}, not {expected}.</source>
        <translation>Der eingetroffene Adapter ist nicht der freigegebene: Sein sha256 ist {found}, nicht {expected}.</translation>
    </message>
    <message>
        <source>The adapter {sha256} is not on this disk.</source>
        <translation>Der Adapter {sha256} ist nicht auf dieser Festplatte.</translation>
    </message>
    <message>
        <source>The adapter {sha256} of round {round} could not be rebuilt from its difference, so it is downloaded in full. Nothing is lost. If that happens every round, tell the host.</source>
        <translation>Der Adapter {sha256} von Runde {round} ließ sich nicht aus seiner Differenz wiederherstellen und wird deshalb vollständig heruntergeladen. Nichts ist verloren. Wenn das in jeder Runde geschieht, sagen Sie es dem Betreiber.</translation>
    </message>
    <message>
        <source>The adapter {sha256}, which round {round} starts from, is missing or damaged. Copy the file of that name to {path} from a backup, or from the blobs folder of a site.</source>
        <translation>Der Adapter {sha256}, mit dem Runde {round} beginnt, fehlt oder ist beschädigt. Kopieren Sie die Datei dieses Namens nach {path}, aus einer Sicherung oder aus dem Ordner blobs eines Standorts.</translation>
    </message>
    <message>
        <source>The adapter&apos;s bytes are not in the one form that fedmed-desktop writes, so its hash cannot be compared. Save it again with fedmed-desktop.</source>
        <translation>Die Bytes des Adapters haben nicht die eine Form, die fedmed-desktop schreibt, deshalb ist sein Hash nicht vergleichbar. Speichern Sie ihn noch einmal mit fedmed-desktop.</translation>
    </message>
    <message>
        <source>The adapter&apos;s header claims {size} bytes; at most {limit} are allowed. The file is damaged or not a safetensors file; download it again.</source>
        <translation>Der Kopf des Adapters gibt {size} Bytes an; höchstens {limit} sind erlaubt. Die Datei ist beschädigt oder keine safetensors-Datei; laden Sie sie noch einmal herunter.</translation>
    </message>
    <message>
        <source>The adapter&apos;s header is not valid: {reason}. The file is damaged or not a safetensors file; download it again.</source>
        <translation>Der Kopf des Adapters ist nicht gültig: {reason}. Die Datei ist beschädigt oder keine safetensors-Datei; laden Sie sie noch einmal herunter.</translation>
    </message>
    <message>
        <source>The adapter&apos;s metadata were not written by fedmed-desktop: {reason}. Choose an adapter that fedmed-desktop wrote.</source>
        <translation>Die Metadaten des Adapters hat nicht fedmed-desktop geschrieben: {reason}. Wählen Sie einen Adapter, den fedmed-desktop geschrieben hat.</translation>
    </message>
    <message>
        <source>The adapter&apos;s module {name} is {found}, but the base model&apos;s layer is {expected}. Use the base model that the adapter was made for.</source>
        <translation>Das Modul {name} des Adapters ist {found}, die Schicht des Basismodells aber {expected}. Verwenden Sie das Basismodell, für das der Adapter gemacht wurde.</translation>
    </message>
    <message>
        <source>The adapter_config.json cannot be used: {reason}. Export the adapter again with PEFT.</source>
        <translation>Die adapter_config.json ist nicht verwendbar: {reason}. Exportieren Sie den Adapter noch einmal mit PEFT.</translation>
    </message>
    <message>
        <source>The adapters do not adapt the same modules: {name} is in only one of them. Use adapters of the same federation.</source>
        <translation>Die Adapter passen verschiedene Module an: {name} ist nur in einem davon. Verwenden Sie Adapter derselben Föderation.</translation>
    </message>
    <message>
        <source>The administrator of this computer provides the secret key of the folder {path}, but did not at this start. Start the program as a service again, or name the key&apos;s file in FEDMED_SITE_KEY_FILE (for a coordinator: FEDMED_COORDINATOR_KEY_FILE).</source>
        <translation>Der geheime Schlüssel des Ordners {path} wird vom Administrator dieses Rechners bereitgestellt, bei diesem Start aber nicht. Starten Sie das Programm wieder als Dienst, oder nennen Sie die Schlüsseldatei in FEDMED_SITE_KEY_FILE (für einen Koordinator: FEDMED_COORDINATOR_KEY_FILE).</translation>
    </message>
    <message>
        <source>The audit file {path} cannot be read: {reason}. Check the path and its permissions.</source>
        <translation>Die Audit-Datei {path} ist nicht lesbar: {reason}. Prüfen Sie den Pfad und seine Zugriffsrechte.</translation>
    </message>
    <message>
        <source>The base model can read only {context} tokens at a time, which is too few for the task and a line of text. Choose another base model.</source>
        <translation>Das Basismodell kann nur {context} Tokens auf einmal lesen, zu wenige für die Aufgabe und eine Zeile Text. Wählen Sie ein anderes Basismodell.</translation>
    </message>
    <message>
        <source>The base model has no chat template. Choose one that has, or found the federation with --prompt plain.</source>
        <translation>Das Basismodell hat keine Chat-Vorlage. Wählen Sie eines mit Chat-Vorlage, oder gründen Sie die Föderation mit --prompt plain.</translation>
    </message>
    <message>
        <source>The base model has no linear layer {name}, which the adapter needs. Use the base model that the adapter was made for.</source>
        <translation>Das Basismodell hat keine lineare Schicht {name}, die der Adapter braucht. Verwenden Sie das Basismodell, für das der Adapter gemacht wurde.</translation>
    </message>
    <message>
        <source>The base model here has another chat template than the federation&apos;s. Copy tokenizer_config.json and chat_template.jinja from the host&apos;s model folder.</source>
        <translation>Das Basismodell hier hat eine andere Chat-Vorlage als das der Föderation. Kopieren Sie tokenizer_config.json und chat_template.jinja aus dem Modellordner des Betreibers.</translation>
    </message>
    <message>
        <source>The base model uses the adapter&apos;s module {name} in a way in which single notes cannot be told apart, so nobody can say how much one note changes. Nothing has left. Choose another base model, or a federation without differential privacy.</source>
        <translation>Das Basismodell verwendet das Modul {name} des Adapters so, dass einzelne Texte nicht unterscheidbar sind; deshalb kann niemand sagen, wie viel ein Text ändert. Nichts ist hinausgegangen. Wählen Sie ein anderes Basismodell oder eine Föderation ohne Differential Privacy.</translation>
    </message>
    <message>
        <source>The base model&apos;s chat template cannot be used: {reason}. Choose another base model, or found the federation with --prompt plain.</source>
        <translation>Die Chat-Vorlage des Basismodells ist nicht verwendbar: {reason}. Wählen Sie ein anderes Basismodell, oder gründen Sie die Föderation mit --prompt plain.</translation>
    </message>
    <message>
        <source>The blob {sha256} does not belong to an approved update and may not leave this computer.</source>
        <translation>Der Blob {sha256} gehört zu keinem freigegebenen Beitrag und darf diesen Rechner nicht verlassen.</translation>
    </message>
    <message>
        <source>The certificate in {path} cannot be used with its key: {reason}. Check both files.</source>
        <translation>Das Zertifikat in {path} ist mit seinem Schlüssel nicht verwendbar: {reason}. Prüfen Sie beide Dateien.</translation>
    </message>
    <message>
        <source>The certificate in {path} expired on {date}. Get a new one from whoever issued it and start the coordinator again. Or give it none: it then makes its own.</source>
        <translation>Das Zertifikat in {path} ist am {date} abgelaufen. Holen Sie ein neues bei der Stelle, die es ausgestellt hat, und starten Sie den Koordinator neu. Oder geben Sie ihm keines: Er erstellt dann ein eigenes.</translation>
    </message>
    <message>
        <source>The certificate in {path} is not valid before {date} UTC. Check this computer&apos;s clock.</source>
        <translation>Das Zertifikat in {path} ist vor {date} UTC nicht gültig. Prüfen Sie die Uhr dieses Rechners.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} has expired; this computer&apos;s clock says {clock} UTC. If the clock is right, ask the host to renew the certificate.</source>
        <translation>Das Zertifikat des Koordinators unter {address} ist abgelaufen; die Uhr dieses Rechners zeigt {clock} UTC. Wenn die Uhr stimmt, bitten Sie den Betreiber, das Zertifikat zu erneuern.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is for another host name, so nothing was sent. Check the address with the host; if it is right, the host needs a certificate for it.</source>
        <translation>Das Zertifikat des Koordinators unter {address} gilt für einen anderen Rechnernamen, deshalb wurde nichts gesendet. Prüfen Sie die Adresse mit dem Betreiber; wenn sie stimmt, braucht der Betreiber ein Zertifikat dafür.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is not valid yet; this computer&apos;s clock says {clock} UTC. Set the clock right.</source>
        <translation>Das Zertifikat des Koordinators unter {address} ist noch nicht gültig; die Uhr dieses Rechners zeigt {clock} UTC. Stellen Sie die Uhr richtig.</translation>
    </message>
    <message>
        <source>The computer at {address} accepts the connection but sends nothing. A firewall may be holding back WebSocket connections: ask the people who run this network to let them through.</source>
        <translation>Der Rechner unter {address} nimmt die Verbindung an, sendet aber nichts. Vielleicht hält eine Firewall WebSocket-Verbindungen zurück: Bitten Sie die IT, sie durchzulassen.</translation>
    </message>
    <message>
        <source>The computer at {host} answers, but no program listens on port {port}. Ask the host whether the coordinator is running, and whether the port is right.</source>
        <translation>Der Rechner {host} antwortet, aber an Port {port} nimmt kein Programm Verbindungen an. Fragen Sie den Betreiber, ob der Koordinator läuft und ob der Port stimmt.</translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as chosen.</source>
        <translation>Die Verbindung geht über den Proxy {proxy}, wie gewählt.</translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as this computer&apos;s settings say.</source>
        <translation>Die Verbindung geht über den Proxy {proxy}, wie in den Einstellungen dieses Rechners.</translation>
    </message>
    <message>
        <source>The connection is encrypted with {version}.</source>
        <translation>Die Verbindung ist mit {version} verschlüsselt.</translation>
    </message>
    <message>
        <source>The connection to {address} was cut off at once. Either the program there does not encrypt connections: check the address with the host. Or a firewall closes connections that it cannot inspect: ask the people who run this network not to inspect connections to this address.</source>
        <translation>Die Verbindung zu {address} wurde sofort getrennt. Entweder verschlüsselt das Programm dort keine Verbindungen: Prüfen Sie die Adresse mit dem Betreiber. Oder eine Firewall beendet, was sie nicht lesen kann: Bitten Sie die IT, Verbindungen dorthin nicht zu durchleuchten.</translation>
    </message>
    <message>
        <source>The connection to {address} was lost before the coordinator answered. Once it is back, check whether it was done; asking again does no harm.</source>
        <translation>Die Verbindung zu {address} ging verloren, bevor der Koordinator antwortete. Sehen Sie nach, ob es geschehen ist, sobald die Verbindung wieder steht; noch einmal zu fragen schadet nicht.</translation>
    </message>
    <message>
        <source>The control variate does not have the adapter&apos;s modules and ranks. Start a new federation with the same rank for all sites.</source>
        <translation>Die Kontrollvariate hat nicht die Module und Ränge des Adapters. Beginnen Sie eine neue Föderation mit demselben Rang für alle Standorte.</translation>
    </message>
    <message>
        <source>The coordinator already stores {held} bytes from this site in this round, and accepts at most {limit}. The site takes part again in the next round; if this happens again, tell the host.</source>
        <translation>Der Koordinator bewahrt in dieser Runde schon {held} Bytes dieses Standorts auf und nimmt nicht mehr als {limit}. Der Standort nimmt in der nächsten Runde wieder teil; wenn das noch einmal geschieht, sagen Sie es dem Betreiber.</translation>
    </message>
    <message>
        <source>The coordinator asked for the steps of secure aggregation in the wrong order. Nothing was revealed.</source>
        <translation>Der Koordinator verlangt die Schritte der sicheren Aggregation in der falschen Reihenfolge. Nichts wurde preisgegeben.</translation>
    </message>
    <message>
        <source>The coordinator asks for a second masked update in round {round}. From two together what masks hide could be worked out. Nothing was sent anew; ask whoever hosts the federation.</source>
        <translation>Der Koordinator verlangt in Runde {round} einen zweiten maskierten Beitrag. Aus beiden zusammen ließe sich errechnen, was die Masken verbergen. Nichts wurde neu gesendet. Fragen Sie den Betreiber der Föderation.</translation>
    </message>
    <message>
        <source>The coordinator asks for a second sum in the same round. This site takes part in another one, and from two together a single update could be worked out. Nothing was revealed.</source>
        <translation>Der Koordinator verlangt in derselben Runde eine zweite Summe. Dieser Standort nimmt an einer anderen teil, und aus zweien zusammen ließe sich ein einzelner Beitrag errechnen. Nichts wurde preisgegeben.</translation>
    </message>
    <message>
        <source>The coordinator at {address} closed the connection.</source>
        <translation>Der Koordinator unter {address} hat die Verbindung geschlossen.</translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer to the name {host}. Ask the host to start it with --public-address {address}.</source>
        <translation>Der Koordinator unter {address} antwortet nicht auf den Namen {host}. Bitten Sie den Betreiber, ihn mit --public-address {address} zu starten.</translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer. Check that it is running; this site keeps trying.</source>
        <translation>Der Koordinator unter {address} antwortet nicht. Prüfen Sie, ob er läuft; dieser Standort versucht es weiter.</translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections at the moment. This site keeps trying.</source>
        <translation>Der Koordinator unter {address} hat im Moment zu viele Verbindungen. Dieser Standort versucht es weiter.</translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections right now. Try again in a minute.</source>
        <translation>Der Koordinator unter {address} hat gerade zu viele Verbindungen. Versuchen Sie es in einer Minute noch einmal.</translation>
    </message>
    <message>
        <source>The coordinator at {address}, or something in between, offers only outdated encryption. Ask IT whether a proxy or firewall opens encrypted connections.</source>
        <translation>Der Koordinator unter {address}, oder etwas dazwischen, bietet nur veraltete Verschlüsselung an. Fragen Sie die IT, ob ein Proxy oder eine Firewall verschlüsselte Verbindungen öffnet.</translation>
    </message>
    <message>
        <source>The coordinator could not be started: {reason}.</source>
        <translation>Der Koordinator konnte nicht gestartet werden: {reason}.</translation>
    </message>
    <message>
        <source>The coordinator could not carry out the command: {reason}. Its log says more.</source>
        <translation>Der Koordinator konnte den Befehl nicht ausführen: {reason}. Mehr steht in seinem Log.</translation>
    </message>
    <message>
        <source>The coordinator could not prove that it owns its key (fingerprint {found}). Nothing was sent. Tell the host.</source>
        <translation>Der Koordinator konnte nicht beweisen, dass ihm sein Schlüssel gehört (Fingerabdruck {found}). Nichts wurde gesendet. Sagen Sie es dem Betreiber.</translation>
    </message>
    <message>
        <source>The coordinator does not answer to the name in {address}. Ask its host to start it with --public-address {host}; this site keeps trying.</source>
        <translation>Der Koordinator antwortet nicht auf den Namen in {address}. Bitten Sie den Betreiber, ihn mit --public-address {host} zu starten; dieser Standort versucht es weiter.</translation>
    </message>
    <message>
        <source>The coordinator has the fingerprint {fingerprint}. Only an invitation can tell whether it is the right coordinator: ask the host for one.</source>
        <translation>Der Koordinator hat den Fingerabdruck {fingerprint}. Ob es der richtige ist, zeigt nur eine Einladung: Bitten Sie den Betreiber um eine.</translation>
    </message>
    <message>
        <source>The coordinator is at {address}, on this computer.</source>
        <translation>Der Koordinator ist unter {address}, auf diesem Rechner.</translation>
    </message>
    <message>
        <source>The coordinator is at {address}; the connection is encrypted.</source>
        <translation>Der Koordinator ist unter {address}; die Verbindung ist verschlüsselt.</translation>
    </message>
    <message>
        <source>The coordinator names other keys for this site than the site has made. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Der Koordinator nennt andere Schlüssel dieses Standorts, als der Standort erstellt hat. In dieser Runde wurde nichts gesendet. Fragen Sie den Betreiber der Föderation.</translation>
    </message>
    <message>
        <source>The coordinator names other sites than it did earlier in the same round. Nothing was revealed. Ask whoever hosts the federation.</source>
        <translation>Der Koordinator nennt andere Standorte als zuvor in derselben Runde. Nichts wurde preisgegeben. Fragen Sie den Betreiber der Föderation.</translation>
    </message>
    <message>
        <source>The coordinator on this computer has the fingerprint {fingerprint}.</source>
        <translation>Der Koordinator auf diesem Rechner hat den Fingerabdruck {fingerprint}.</translation>
    </message>
    <message>
        <source>The coordinator sends only {speed} Mbit/s to this computer. With an adapter of {size} (rank {rank}), download and upload take about this many minutes per round: {minutes}. Tell the host, who can choose longer deadlines or a smaller rank; or use a faster connection.</source>
        <translation>Der Koordinator sendet nur {speed}&#xa0;Mbit/s an diesen Rechner. Bei einem Adapter von {size} (Rang {rank}) dauern Herunter- und Hochladen in einer Runde etwa so viele Minuten: {minutes}. Sagen Sie es dem Betreiber, der längere Fristen oder einen kleineren Rang wählen kann; oder verwenden Sie eine schnellere Verbindung.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer.</source>
        <translation>Der Koordinator sendet {speed}&#xa0;Mbit/s oder mehr an diesen Rechner.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), download and upload take about this many minutes per round: {minutes}.</source>
        <translation>Der Koordinator sendet {speed}&#xa0;Mbit/s oder mehr an diesen Rechner. Bei einem Adapter von {size} (Rang {rank}) dauern Herunter- und Hochladen in einer Runde etwa so viele Minuten: {minutes}.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), download and upload take less than a minute per round.</source>
        <translation>Der Koordinator sendet {speed}&#xa0;Mbit/s oder mehr an diesen Rechner. Bei einem Adapter von {size} (Rang {rank}) dauern Herunter- und Hochladen in einer Runde weniger als eine Minute.</translation>
    </message>
    <message>
        <source>The coordinator with the folder {path} stopped before it had carried out the command. Start it, and try again.</source>
        <translation>Der Koordinator mit dem Ordner {path} endete, bevor er den Befehl ausgeführt hatte. Starten Sie ihn, und versuchen Sie es noch einmal.</translation>
    </message>
    <message>
        <source>The corpus {corpus} is not bundled. Give the folder that contains it with --data.</source>
        <translation>Das Korpus {corpus} gehört nicht zum Programm. Geben Sie mit --data den Ordner an, der es enthält.</translation>
    </message>
    <message>
        <source>The desktop needs {package}, which is not installed. In the checkout: python -m pip install &quot;.[desktop]&quot;</source>
        <translation>Der Desktop braucht {package}, das nicht installiert ist. Im Quellverzeichnis: python -m pip install &quot;.[desktop]&quot;</translation>
    </message>
    <message>
        <source>The disk is full, so {path} cannot be written. Free some space; everything that was acknowledged is safe.</source>
        <translation>Die Festplatte ist voll, deshalb kann {path} nicht geschrieben werden. Schaffen Sie Platz; alles, was quittiert wurde, ist sicher.</translation>
    </message>
    <message>
        <source>The encoder in {path} cannot be loaded: {reason}. Choose the folder of a Hugging Face encoder, such as BERT, with safetensors and tokenizer.json.</source>
        <translation>Der Encoder in {path} lässt sich nicht laden: {reason}. Wählen Sie den Ordner eines Hugging-Face-Encoders, etwa eines BERT, mit safetensors und tokenizer.json.</translation>
    </message>
    <message>
        <source>The entry of tensor {tensor} in the header is wrong: {reason}. The file is damaged; download it again.</source>
        <translation>Der Eintrag des Tensors {tensor} im Kopf ist falsch: {reason}. Die Datei ist beschädigt; laden Sie sie noch einmal herunter.</translation>
    </message>
    <message>
        <source>The experiment has no method or baseline {label}. It has: {known}. Correct --only.</source>
        <translation>Das Experiment hat keine Methode oder Vergleichsgröße {label}. Es hat: {known}. Korrigieren Sie --only.</translation>
    </message>
    <message>
        <source>The experiment has no tuning_seeds. Add some to its file, or leave out --tuning.</source>
        <translation>Das Experiment hat keine tuning_seeds. Ergänzen Sie welche in seiner Datei, oder lassen Sie --tuning weg.</translation>
    </message>
    <message>
        <source>The experiment in {path} has format {found}; this program reads format {known}. Open it with the version of fedmed-desktop that wrote it.</source>
        <translation>Das Experiment in {path} hat Format {found}; dieses Programm liest Format {known}. Öffnen Sie es mit der Version von fedmed-desktop, die es geschrieben hat.</translation>
    </message>
    <message>
        <source>The experiment {path} cannot be read: {reason}. Correct the file, which must be TOML.</source>
        <translation>Das Experiment {path} ist nicht lesbar: {reason}. Korrigieren Sie die Datei, die TOML sein muss.</translation>
    </message>
    <message>
        <source>The federation has finished already.</source>
        <translation>Die Föderation ist schon beendet.</translation>
    </message>
    <message>
        <source>The federation has moved on to round {round}, attempt {attempt}. Look at it, then decide again.</source>
        <translation>Die Föderation ist inzwischen weiter: Sie ist in Runde {round}, Versuch {attempt}. Sehen Sie sich das an und entscheiden Sie dann neu.</translation>
    </message>
    <message>
        <source>The federation is not paused.</source>
        <translation>Die Föderation ist nicht pausiert.</translation>
    </message>
    <message>
        <source>The federation is paused already. Resume it first.</source>
        <translation>Die Föderation ist schon pausiert. Setzen Sie sie zuerst fort.</translation>
    </message>
    <message>
        <source>The federation protects patients, and some of this site&apos;s training notes do not say which patient they are of. Nothing is trained. Add the patient to each note, or ask the host for training.privacy.unit = &quot;note&quot;.</source>
        <translation>Die Föderation schützt Patienten, und einige Trainingstexte dieses Standorts sagen nicht, zu welchem Patienten sie gehören. Es wird nicht trainiert. Ergänzen Sie den Patienten zu jedem Text, oder bitten Sie den Betreiber um training.privacy.unit = &quot;note&quot;.</translation>
    </message>
    <message>
        <source>The federation specification {path} cannot be read: {reason}.</source>
        <translation>Die Spezifikation der Föderation {path} ist nicht lesbar: {reason}.</translation>
    </message>
    <message>
        <source>The file {path} cannot be used: {reason}.</source>
        <translation>Die Datei {path} ist nicht verwendbar: {reason}.</translation>
    </message>
    <message>
        <source>The first adapter {sha256} of this federation is not in {path}. Copy there the .safetensors file that --new-federation wrote beside the specification.</source>
        <translation>Der erste Adapter {sha256} dieser Föderation ist nicht in {path}. Kopieren Sie die .safetensors-Datei dorthin, die --new-federation neben die Spezifikation geschrieben hat.</translation>
    </message>
    <message>
        <source>The folder {name} already has a {file}. Choose an empty folder for the notes.</source>
        <translation>Der Ordner {name} hat schon eine Datei {file}. Wählen Sie einen leeren Ordner für die Texte.</translation>
    </message>
    <message>
        <source>The folder {path} belongs to a federation with another specification. Choose another --data-dir, or use the specification that it was started with.</source>
        <translation>Der Ordner {path} gehört zu einer Föderation mit einer anderen Spezifikation. Wählen Sie ein anderes --data-dir, oder verwenden Sie die Spezifikation, mit der sie begonnen wurde.</translation>
    </message>
    <message>
        <source>The folder {path} belongs to another account, which could take the secret key out of it. Choose another --data-dir, or sign in with that account.</source>
        <translation>Der Ordner {path} gehört einem anderen Konto, das den geheimen Schlüssel herausnehmen könnte. Wählen Sie ein anderes --data-dir, oder melden Sie sich mit diesem Konto an.</translation>
    </message>
    <message>
        <source>The folder {path} cannot be made: a file or a system folder is in its place. Choose another folder.</source>
        <translation>Der Ordner {path} kann nicht angelegt werden: An seiner Stelle ist eine Datei oder ein Systemordner. Wählen Sie einen anderen Ordner.</translation>
    </message>
    <message>
        <source>The folder {path} is in use by another fedmed-desktop. Close that one, or choose another --data-dir.</source>
        <translation>Der Ordner {path} wird von einem anderen fedmed-desktop verwendet. Schließen Sie es, oder wählen Sie ein anderes --data-dir.</translation>
    </message>
    <message>
        <source>The folder {path} is in use, but no coordinator there accepts commands: it may be an earlier version, or about to stop. Stop it and try again, or look at its log.</source>
        <translation>Der Ordner {path} wird verwendet, aber kein Koordinator dort nimmt Befehle an: Vielleicht ist es eine frühere Version, oder er endet gerade. Halten Sie ihn an und versuchen Sie es noch einmal, oder sehen Sie in sein Log.</translation>
    </message>
    <message>
        <source>The host has shut out {site}, or has let in another key under this name. If that is a mistake, ask the host for a new invitation.</source>
        <translation>Der Betreiber hat {site} ausgeschlossen oder unter diesem Namen einen anderen Schlüssel zugelassen. Wenn das ein Irrtum ist, bitten Sie den Betreiber um eine neue Einladung.</translation>
    </message>
    <message>
        <source>The invitation is for the site {invited}, not for {name}. Leave out --name.</source>
        <translation>Die Einladung ist für den Standort {invited}, nicht für {name}. Lassen Sie --name weg.</translation>
    </message>
    <message>
        <source>The invitation of {site} expired at {until}. Ask the host for a new one.</source>
        <translation>Die Einladung von {site} ist am {until} abgelaufen. Bitten Sie den Betreiber um eine neue.</translation>
    </message>
    <message>
        <source>The invitation of {site} has been used already; each one lets in one site, once. Join with the data folder that used it. If that was not you, tell the host at once, who can revoke {site}.</source>
        <translation>Die Einladung von {site} wurde schon verwendet; jede lässt einen Standort einmal ein. Treten Sie mit dem Datenordner bei, der sie verwendet hat. Wenn Sie das nicht waren, sagen Sie es sofort dem Betreiber, der {site} sperren kann.</translation>
    </message>
    <message>
        <source>The key in {key} does not belong to the certificate in {path}. Give the key that the certificate was requested with.</source>
        <translation>Der Schlüssel in {key} gehört nicht zum Zertifikat in {path}. Geben Sie den Schlüssel an, mit dem das Zertifikat beantragt wurde.</translation>
    </message>
    <message>
        <source>The key in {key} fits a certificate in {path}, but not the first one. Put the coordinator&apos;s own certificate first in the file, and those of the authorities after it.</source>
        <translation>Der Schlüssel in {key} passt zu einem Zertifikat in {path}, aber nicht zum ersten. Setzen Sie das Zertifikat des Koordinators an den Anfang der Datei und die der Zertifizierungsstellen dahinter.</translation>
    </message>
    <message>
        <source>The key in {path} is locked with a password, and a coordinator that starts by itself cannot ask for one. Save the key without a password in a file that only this user can read.</source>
        <translation>Der Schlüssel in {path} ist mit einem Passwort gesperrt, und ein Koordinator, der von selbst startet, kann nicht danach fragen. Speichern Sie den Schlüssel ohne Passwort in einer Datei, die nur dieser Benutzer lesen kann.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}) no longer has the secret key of this data folder. Restore the keyring from a backup. If that is not possible, remove {path} and ask the host for a new invitation with a new key.</source>
        <translation>Der Schlüsselbund ({keyring}) enthält den geheimen Schlüssel dieses Datenordners nicht mehr. Stellen Sie den Schlüsselbund aus einer Sicherung wieder her. Wenn das nicht möglich ist, entfernen Sie {path}, und bitten Sie den Betreiber um eine neue Einladung mit einem neuen Schlüssel.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, cannot be used right now. Check that it works for other programs, then try again.</source>
        <translation>Der Schlüsselbund ({keyring}), in dem der geheime Schlüssel liegt, ist gerade nicht verwendbar. Prüfen Sie, ob er bei anderen Programmen funktioniert, und versuchen Sie es dann noch einmal.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, does not answer. It may be waiting for its password in a window: enter it, then try again.</source>
        <translation>Der Schlüsselbund ({keyring}), in dem der geheime Schlüssel liegt, antwortet nicht. Vielleicht wartet er in einem Fenster auf sein Passwort: Geben Sie es ein, und versuchen Sie es dann noch einmal.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, is locked. Unlock it, then try again.</source>
        <translation>Der Schlüsselbund ({keyring}), in dem der geheime Schlüssel liegt, ist gesperrt. Entsperren Sie ihn, und versuchen Sie es dann noch einmal.</translation>
    </message>
    <message>
        <source>The keys that the coordinator names for {site} are not signed by {site} for this round. Nothing was sent in it. Ask whoever hosts the federation.</source>
        <translation>Die Schlüssel, die der Koordinator von {site} nennt, hat {site} nicht für diese Runde signiert. In ihr wurde nichts gesendet. Fragen Sie den Betreiber der Föderation.</translation>
    </message>
    <message>
        <source>The model file {path} is damaged: {reason}. Download the model again.</source>
        <translation>Die Modelldatei {path} ist beschädigt: {reason}. Laden Sie das Modell noch einmal herunter.</translation>
    </message>
    <message>
        <source>The model folder {path} also contains an adapter ({file}), which would be loaded unnoticed as part of the base model. Move the adapter&apos;s files to a separate folder.</source>
        <translation>Der Modellordner {path} enthält auch einen Adapter ({file}), der unbemerkt als Teil des Basismodells geladen würde. Verschieben Sie die Dateien des Adapters in einen eigenen Ordner.</translation>
    </message>
    <message>
        <source>The model given with --score-with is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Give the model folder that the federation was made with.</source>
        <translation>Das mit --score-with angegebene Modell ist nicht das Basismodell der Föderation (Fingerabdruck {found}, erwartet {expected}). Geben Sie den Modellordner an, mit dem die Föderation gegründet wurde.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: it cannot process text with adapters on its layers ({reason}). Choose another base model.</source>
        <translation>Das Modell in {path} kann nicht angepasst werden: Mit Adaptern auf seinen Schichten kann es keinen Text verarbeiten ({reason}). Wählen Sie ein anderes Basismodell.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its layers have names like {name}, without the prefix of a whole model, so it was saved without its head. Choose the whole model, saved by transformers&apos; AutoModelForCausalLM.</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: Seine Schichten haben Namen wie {name}, ohne das Präfix eines ganzen Modells; es wurde also ohne seinen Kopf gespeichert. Wählen Sie das ganze Modell, gespeichert von AutoModelForCausalLM aus transformers.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its weights are already quantised ({method}). Choose the same model with 16- or 32-bit weights; each site may still load it in 4 bits (--nf4).</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: Seine Gewichte sind bereits quantisiert ({method}). Wählen Sie dasselbe Modell mit 16- oder 32-Bit-Gewichten; jeder Standort darf es trotzdem in 4 Bit laden (--nf4).</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: the layers of {kind} models are of the type Conv1D instead of linear layers (torch&apos;s Linear). Choose another base model.</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: Die Schichten von {kind}-Modellen sind keine linearen Schichten (Linear in torch), sondern von eigener Art (Conv1D). Wählen Sie ein anderes Basismodell.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models have an encoder and a decoder. Choose a causal language model, which continues a text.</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: {kind}-Modelle haben einen Encoder und einen Decoder. Wählen Sie ein kausales Sprachmodell, das einen Text fortsetzt.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models keep what they have read in an internal state of a special kind, which this program cannot continue from when it scores notes. Choose a base model with attention, such as Llama, Qwen, Gemma, Mistral, Phi or Granite.</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: {kind}-Modelle halten das Gelesene in einem inneren Zustand besonderer Art, den dieses Programm beim Bewerten von Texten nicht weiterführen kann. Wählen Sie ein Basismodell mit Attention, etwa Llama, Qwen, Gemma, Mistral, Phi oder Granite.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models read text in both directions, so during training they would see the answer that they should learn. Choose a causal language model, which continues a text.</source>
        <translation>Das Modell in {path} kann nicht angepasst werden: {kind}-Modelle lesen Text in beide Richtungen und sähen im Training die Antwort, die sie lernen sollen. Wählen Sie ein kausales Sprachmodell, das einen Text fortsetzt.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models use the same layers in several places. Choose another base model.</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: {kind}-Modelle verwenden dieselben Schichten an mehreren Stellen. Wählen Sie ein anderes Basismodell.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is not a linear layer once the model is loaded ({found}). Choose another base model.</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: {name} ist nach dem Laden des Modells keine lineare Schicht ({found}). Wählen Sie ein anderes Basismodell.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is {found} in its files, but its config.json makes it {expected}. Download the model again, or choose another.</source>
        <translation>Das Modell in {path} lässt sich nicht anpassen: {name} ist in seinen Dateien {found}, nach seiner config.json aber {expected}. Laden Sie das Modell noch einmal herunter, oder wählen Sie ein anderes.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be loaded: {reason}. Choose the folder of a language model that this version supports, in Hugging Face&apos;s format.</source>
        <translation>Das Modell in {path} lässt sich nicht laden: {reason}. Wählen Sie den Ordner eines Sprachmodells, das diese Version unterstützt, im Format von Hugging Face.</translation>
    </message>
    <message>
        <source>The model in {path} comes with its own code, which is never run. Choose a model that the transformers library supports by itself.</source>
        <translation>Das Modell in {path} bringt eigenen Code mit, der nie ausgeführt wird. Wählen Sie ein Modell, das die Bibliothek transformers von selbst unterstützt.</translation>
    </message>
    <message>
        <source>The model in {path} has no linear layers inside decoder blocks, so it cannot be adapted. Choose another base model.</source>
        <translation>Das Modell in {path} hat keine linearen Schichten in Decoder-Blöcken und lässt sich deshalb nicht anpassen. Wählen Sie ein anderes Basismodell.</translation>
    </message>
    <message>
        <source>The model in {path} is incomplete: {file} is missing, which its index names. Download the model again.</source>
        <translation>Das Modell in {path} ist unvollständig: Es fehlt {file}, eine Datei, die sein Index nennt. Laden Sie das Modell noch einmal herunter.</translation>
    </message>
    <message>
        <source>The model in {path} is kept in few bits, and no adapter can be merged into that. Save the adapter as a PEFT folder, or choose the whole model.</source>
        <translation>Das Modell in {path} liegt in wenigen Bits vor, und darin lässt sich kein Adapter einrechnen. Speichern Sie den Adapter als PEFT-Ordner, oder wählen Sie das ganze Modell.</translation>
    </message>
    <message>
        <source>The model in {path} names its layers in its files otherwise than once it is loaded, so torch is needed to found a federation on it. Install fedmed-desktop[site] on this computer, or found the federation on a computer that has it and copy the folder.</source>
        <translation>Die Schichten des Modells in {path} heißen in seinen Dateien anders als nach dem Laden, deshalb ist torch nötig, um darauf eine Föderation zu gründen. Installieren Sie fedmed-desktop[site] auf diesem Rechner, oder gründen Sie die Föderation auf einem, der es hat, und kopieren Sie den Ordner.</translation>
    </message>
    <message>
        <source>The model {model} is neither a folder nor in this computer&apos;s cache. Check the path; or, if it is the id of a model, download it once with: hf download {model}</source>
        <translation>Das Modell {model} ist weder ein Ordner noch im Zwischenspeicher dieses Rechners. Prüfen Sie den Pfad; wenn es die Kennung eines Modells ist, laden Sie es einmal herunter mit: hf download {model}</translation>
    </message>
    <message>
        <source>The model&apos;s loss {moment} is not a number: training has diverged, here or at another site. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>Der Verlust des Modells ({moment}) ist keine Zahl: Das Training ist divergiert, hier oder an einem anderen Standort. Bitten Sie den Betreiber des Koordinators um eine kleinere Lernrate.</translation>
    </message>
    <message>
        <source>The module {name} has shape {left} in one adapter and {right} in another. Use adapters made for the same base model.</source>
        <translation>Das Modul {name} hat in einem Adapter die Form {left} und in einem anderen {right}. Verwenden Sie Adapter für dasselbe Basismodell.</translation>
    </message>
    <message>
        <source>The name {host} is known: {found}.</source>
        <translation>Der Name {host} ist bekannt: {found}.</translation>
    </message>
    <message>
        <source>The name {host} is not known here. Check its spelling and this computer&apos;s network. If the name is known only inside a hospital or a VPN, connect to that first, or ask the host for the numeric address.</source>
        <translation>Der Name {host} ist hier nicht bekannt. Prüfen Sie die Schreibweise und das Netz dieses Rechners. Wenn der Name nur innerhalb eines Krankenhauses oder VPNs bekannt ist, verbinden Sie sich zuerst damit, oder bitten Sie den Betreiber um die numerische Adresse.</translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split that keeps patients, documents and near-duplicates together is proposed; --split-into FOLDER writes it.</source>
        <translation>Die Texte sind nicht in Training, Validierung und Test aufgeteilt. Vorgeschlagen wird eine Aufteilung, die Patienten, Dokumente und fast gleiche Texte zusammenhält; --split-into FOLDER schreibt sie.</translation>
    </message>
    <message>
        <source>The notes file {name} cannot be read: {reason}. Choose another file, or repair this one; text files may be compressed with gzip if their name ends in .gz.</source>
        <translation>Die Datei {name} ist nicht lesbar: {reason}. Wählen Sie eine andere Datei mit Texten, oder bringen Sie diese in Ordnung; Textdateien dürfen mit gzip komprimiert sein, wenn ihr Name auf .gz endet.</translation>
    </message>
    <message>
        <source>The notes file {name} cannot be used: {reason}. Correct or remove it and try again.</source>
        <translation>Die Datei {name} mit Texten ist nicht verwendbar: {reason}. Korrigieren oder entfernen Sie sie, und versuchen Sie es noch einmal.</translation>
    </message>
    <message>
        <source>The notes file {name} does not exist. Check its name and folder.</source>
        <translation>Die Datei {name} mit Texten gibt es nicht. Prüfen Sie Name und Ordner.</translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. Correct this row and try again.</source>
        <translation>Die Datei {name} mit Texten hat in Zeile {row} einen Fehler: {reason}. Korrigieren Sie diese Zeile, und versuchen Sie es noch einmal.</translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. More rows with an error: {more}. Correct them and try again; this lists them all: fedmed-desktop --check-notes</source>
        <translation>Die Datei {name} mit Texten hat in Zeile {row} einen Fehler: {reason}. Weitere Zeilen mit einem Fehler: {more}. Korrigieren Sie sie, und versuchen Sie es noch einmal; dies führt alle auf: fedmed-desktop --check-notes</translation>
    </message>
    <message>
        <source>The notes folder {name} has both {first} and {second}. Remove the one that you do not want to use.</source>
        <translation>Der Textordner {name} hat sowohl {first} als auch {second}. Entfernen Sie, was Sie nicht verwenden möchten.</translation>
    </message>
    <message>
        <source>The notes folder {name} has no {split}.jsonl or {split}.jsonl.gz, and no {split} in another format. Put the {split} notes there.</source>
        <translation>Der Textordner {name} hat weder {split}.jsonl noch {split}.jsonl.gz, noch {split} in einem anderen Format. Legen Sie die Texte für „{split}“ dort ab.</translation>
    </message>
    <message>
        <source>The notes have labels for none of the tasks of {name}: {tasks}. Annotate them, or check that the labels are where the program looks for them.</source>
        <translation>Die Texte haben für keine der Aufgaben von {name} Annotationen: {tasks}. Annotieren Sie sie, oder prüfen Sie, ob die Annotationen dort stehen, wo sie gelesen werden.</translation>
    </message>
    <message>
        <source>The notes have no labels for the task {task}. This site takes part without it.</source>
        <translation>Die Texte haben keine Annotationen für die Aufgabe {task}. Dieser Standort nimmt ohne sie teil.</translation>
    </message>
    <message>
        <source>The notes of {corpus} have labels for none of the experiment&apos;s tasks: {tasks}. Annotate them, or leave the corpus out.</source>
        <translation>Die Texte von {corpus} haben für keine der Aufgaben des Experiments Annotationen: {tasks}. Annotieren Sie sie, oder lassen Sie das Korpus weg.</translation>
    </message>
    <message>
        <source>The other side sent something that this version does not understand ({place}: {reason}). Use the same version of fedmed-desktop on both sides.</source>
        <translation>Die andere Seite hat etwas gesendet, das diese Version nicht versteht ({place}: {reason}). Verwenden Sie auf beiden Seiten dieselbe Version von fedmed-desktop.</translation>
    </message>
    <message>
        <source>The privacy budget, epsilon {epsilon}, has no room for another step. Training has stopped.</source>
        <translation>Das Privacy-Budget, Epsilon {epsilon}, reicht für keinen weiteren Schritt. Das Training hat angehalten.</translation>
    </message>
    <message>
        <source>The processes of a site must run on one machine: what they exchange comes from its notes, and it is not encrypted. Start torchrun with --nnodes 1.</source>
        <translation>Die Prozesse eines Standorts müssen auf demselben Rechner laufen: Was zwischen ihnen ausgetauscht wird, stammt aus seinen Texten und ist nicht verschlüsselt. Starten Sie torchrun mit --nnodes 1.</translation>
    </message>
    <message>
        <source>The program can train on {gpu}, which has {total} of memory.</source>
        <translation>Das Programm kann auf {gpu} trainieren, mit {total} Speicher.</translation>
    </message>
    <message>
        <source>The program crashed the last time it ran. Nothing was sent because of that, and your site goes on where it was. If it happens again, make a support bundle (Settings) for whoever helps you; it goes nowhere by itself.</source>
        <translation>Das Programm ist beim letzten Mal abgestürzt. Deswegen wurde nichts gesendet, und Ihr Standort macht dort weiter, wo er war. Wenn das noch einmal geschieht, erstellen Sie ein Support-Paket (Einstellungen) für die Person, die Ihnen hilft; es geht von selbst nirgendwohin.</translation>
    </message>
    <message>
        <source>The proxy {proxy} answers, but it cannot reach the coordinator at {address} (HTTP {status}). Check the address, and ask the people who run the proxy whether it may connect there.</source>
        <translation>Der Proxy {proxy} antwortet, kann aber den Koordinator unter {address} nicht erreichen (HTTP {status}). Prüfen Sie die Adresse, und fragen Sie die Verantwortlichen für den Proxy, ob er dorthin verbinden darf.</translation>
    </message>
    <message>
        <source>The proxy {proxy} does not accept the name and the password that it was given. Correct them before you try again: repeated tries may lock the account.</source>
        <translation>Der Proxy {proxy} nimmt den Namen und das Passwort, die er bekommen hat, nicht an. Korrigieren Sie sie, bevor Sie es noch einmal versuchen: Wiederholte Versuche können das Konto sperren.</translation>
    </message>
    <message>
        <source>The proxy {proxy} does not answer. Check its address, and that this computer is in the network that it belongs to; or choose another proxy, or none.</source>
        <translation>Der Proxy {proxy} antwortet nicht. Prüfen Sie seine Adresse, und ob dieser Rechner in dem Netz ist, zu dem er gehört; oder wählen Sie einen anderen Proxy oder keinen.</translation>
    </message>
    <message>
        <source>The proxy {proxy} refuses connections to {address} (HTTP {status}). Ask the people who run it to allow HTTP CONNECT to this address and port.</source>
        <translation>Der Proxy {proxy} lehnt Verbindungen zu {address} ab (HTTP {status}). Bitten Sie die Verantwortlichen, HTTP CONNECT zu dieser Adresse und diesem Port zu erlauben.</translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a name and a password. Give them in the proxy&apos;s address, as http://name:password@…, with --proxy, in HTTPS_PROXY or in Settings.</source>
        <translation>Der Proxy {proxy} verlangt einen Namen und ein Passwort. Geben Sie sie in der Adresse des Proxys an, als http://name:password@…, mit --proxy, in HTTPS_PROXY oder in den Einstellungen.</translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a sign-in of a kind that fedmed-desktop does not know ({ways}). Ask the people who run it to let this computer connect to {address} without one, or with a name and a password (Basic).</source>
        <translation>Der Proxy {proxy} verlangt eine Art der Anmeldung, die fedmed-desktop nicht kennt ({ways}). Bitten Sie die Verantwortlichen, diesen Rechner ohne Anmeldung mit {address} verbinden zu lassen, oder mit Namen und Passwort (Basic).</translation>
    </message>
    <message>
        <source>The rank {rank} cannot be used. Choose a whole number of at least 1.</source>
        <translation>Der Rang {rank} ist nicht verwendbar. Wählen Sie eine ganze Zahl ab 1.</translation>
    </message>
    <message>
        <source>The record of the sums that noise was added to ({path}) has {found} rounds, but {least} were combined: it was lost, or is an old copy. Nothing is combined, because nobody could tell how much of the privacy budget is spent. Put the newest copy back.</source>
        <translation>Die Aufzeichnung der Summen, zu denen Rauschen addiert wurde ({path}), hat {found} Runden, zusammengeführt wurden aber {least}: Sie ging verloren oder ist eine alte Kopie. Es wird nichts zusammengeführt, weil niemand sagen könnte, wie viel vom Privacy-Budget verbraucht ist. Legen Sie die neueste Kopie zurück.</translation>
    </message>
    <message>
        <source>The record of what this site has spent of its privacy budget ({path}) has {found} steps, but its updates took {least}: it was lost, or is an old copy. Nothing is trained, because nobody could tell how much of the budget is spent. Put the newest copy back.</source>
        <translation>Die Aufzeichnung dessen, was dieser Standort von seinem Privacy-Budget verbraucht hat ({path}), hat {found} Schritte, seine Beiträge brauchten aber {least}: Sie ging verloren oder ist eine alte Kopie. Es wird nicht trainiert, weil niemand sagen könnte, wie viel vom Budget verbraucht ist. Legen Sie die neueste Kopie zurück.</translation>
    </message>
    <message>
        <source>The results and the table are in {path}, but matplotlib, which draws the plots, is not installed. Install it with pip install &apos;fedmed-desktop[lab]&apos;, then run the lab again with the same --out.</source>
        <translation>Ergebnisse und Tabelle sind in {path}, aber matplotlib, das die Diagramme zeichnet, ist nicht installiert. Installieren Sie es mit pip install &apos;fedmed-desktop[lab]&apos;, und starten Sie das Labor dann noch einmal mit demselben --out.</translation>
    </message>
    <message>
        <source>The round had already closed when the update arrived. The adapter stays at the site.</source>
        <translation>Die Runde war schon beendet, als der Beitrag ankam. Der Adapter bleibt am Standort.</translation>
    </message>
    <message>
        <source>The round has moved on; this update is no longer needed. Nothing was sent.</source>
        <translation>Die Runde ist weitergegangen; dieser Beitrag wird nicht mehr gebraucht. Nichts wurde gesendet.</translation>
    </message>
    <message>
        <source>The round is not combined, because too little of the privacy budget for whole sites is left: {spent} of epsilon {epsilon} is spent, and {rounds} more sums would need so much noise that nothing could be learned. More sums were made than the federation has rounds, so an old copy of this folder was put back. Start another federation from its last adapter.</source>
        <translation>Die Runde wird nicht zusammengeführt: Vom Privacy-Budget ganzer Standorte, Epsilon {epsilon}, ist {spent} verbraucht, und {rounds} weitere Summen wären nur mit so viel Rauschen möglich, dass nichts gelernt werden könnte. Es wurden mehr Summen gebildet, als die Föderation Runden hat; es wurde also eine alte Kopie dieses Ordners zurückgelegt. Beginnen Sie mit ihrem letzten Adapter eine andere Föderation.</translation>
    </message>
    <message>
        <source>The scale {scale} of {name} cannot be used. It must be a finite number greater than 0.</source>
        <translation>Die Skalierung {scale} von {name} ist nicht verwendbar. Sie muss eine endliche Zahl größer als 0 sein.</translation>
    </message>
    <message>
        <source>The secret key in {path} is not the one that the folder {folder} was made with. Give the earlier key, or another --data-dir.</source>
        <translation>Der geheime Schlüssel in {path} ist nicht der, mit dem der Ordner {folder} angelegt wurde. Geben Sie den früheren Schlüssel an, oder ein anderes --data-dir.</translation>
    </message>
    <message>
        <source>The secret key is in a keyring ({keyring}), but none can be used right now. Start the program in a desktop session of the account that joined, then try again.</source>
        <translation>Der geheime Schlüssel liegt in einem Schlüsselbund ({keyring}), aber gerade ist keiner verwendbar. Starten Sie das Programm in einer Desktop-Sitzung des Kontos, das beigetreten ist, und versuchen Sie es dann noch einmal.</translation>
    </message>
    <message>
        <source>The secret key is in the file {detail}. Only this account can read it, but it is not encrypted: do not copy it, and leave it out of backups that others can read.</source>
        <translation>Der geheime Schlüssel liegt in der Datei {detail}. Nur dieses Konto kann sie lesen, aber sie ist nicht verschlüsselt: Kopieren Sie sie nicht, und lassen Sie sie aus Sicherungen heraus, die andere lesen können.</translation>
    </message>
    <message>
        <source>The secret key is in this account&apos;s keyring ({detail}).</source>
        <translation>Der geheime Schlüssel liegt im Schlüsselbund dieses Kontos ({detail}).</translation>
    </message>
    <message>
        <source>The secret key is missing: there is no file {path}. Restore it from a backup. If that is not possible, remove identity.json from the data folder; a site then needs a new invitation with a new key.</source>
        <translation>Der geheime Schlüssel fehlt: Es gibt keine Datei {path}. Stellen Sie ihn aus einer Sicherung wieder her. Wenn das nicht möglich ist, entfernen Sie identity.json aus dem Datenordner; ein Standort braucht dann eine neue Einladung mit einem neuen Schlüssel.</translation>
    </message>
    <message>
        <source>The secret key is read from {detail}, as set up by the administrator of this computer.</source>
        <translation>Der geheime Schlüssel wird aus {detail} gelesen, wie vom Administrator dieses Rechners eingerichtet.</translation>
    </message>
    <message>
        <source>The secret key that was found is not the one of this data folder (fingerprint {fingerprint} in {path}). Restore both from the same backup.</source>
        <translation>Der gefundene geheime Schlüssel ist nicht der dieses Datenordners (Fingerabdruck {fingerprint} in {path}). Stellen Sie beide aus derselben Sicherung wieder her.</translation>
    </message>
    <message>
        <source>The settings could not be read. They were moved to {path}, and the program starts with the default settings.</source>
        <translation>Die Einstellungen waren nicht lesbar. Sie wurden nach {path} verschoben, und das Programm startet mit den Standardeinstellungen.</translation>
    </message>
    <message>
        <source>The signature of {path} is not valid: the file was changed after it was signed. Ask its owner for another export.</source>
        <translation>Die Signatur von {path} ist nicht gültig: Die Datei wurde nach dem Signieren geändert. Bitten Sie den Eigentümer um einen anderen Export.</translation>
    </message>
    <message>
        <source>The site in {path} has joined no federation yet. Give the host&apos;s invitation with --invitation, or --join and --name for a coordinator on this computer.</source>
        <translation>Der Standort in {path} ist noch keiner Föderation beigetreten. Geben Sie die Einladung des Betreibers mit --invitation an, oder --join und --name für einen Koordinator auf diesem Rechner.</translation>
    </message>
    <message>
        <source>The site no longer has this update, so it cannot be fetched.</source>
        <translation>Der Standort hat diesen Beitrag nicht mehr, deshalb kann er nicht geholt werden.</translation>
    </message>
    <message>
        <source>The site uses protocol version {site}, the coordinator {coordinator}. Use the same version of fedmed-desktop on both sides.</source>
        <translation>Der Standort verwendet Protokollversion {site}, der Koordinator {coordinator}. Verwenden Sie auf beiden Seiten dieselbe Version von fedmed-desktop.</translation>
    </message>
    <message>
        <source>The site {site} could not prove that it owns its key. Nothing was taken from it.</source>
        <translation>Der Standort {site} konnte nicht beweisen, dass ihm sein Schlüssel gehört. Nichts wurde von ihm übernommen.</translation>
    </message>
    <message>
        <source>The site {site} has a new key now, so its old key no longer counts. If this site did not join again elsewhere, tell the host.</source>
        <translation>Der Standort {site} hat jetzt einen neuen Schlüssel, deshalb gilt sein alter nicht mehr. Wenn dieser Standort nicht an anderer Stelle neu beigetreten ist, sagen Sie es dem Betreiber.</translation>
    </message>
    <message>
        <source>The sites can spare {found} validation notes, but shared_notes is {wanted}. Lower it, or raise split.validation_share.</source>
        <translation>Die Standorte können {found} Validierungstexte entbehren, shared_notes ist aber {wanted}. Senken Sie es, oder erhöhen Sie split.validation_share.</translation>
    </message>
    <message>
        <source>The speed of the connection could not be measured. The first round will show it.</source>
        <translation>Wie schnell die Verbindung ist, ließ sich nicht messen. Die erste Runde wird es zeigen.</translation>
    </message>
    <message>
        <source>The starting adapter has rank {rank}, but the federation allows at most {most}. Give the federation rank {rank} or more (--rank).</source>
        <translation>Der Adapter, mit dem begonnen werden soll, hat Rang {rank}, die Föderation höchstens {most}. Geben Sie der Föderation Rang {rank} oder mehr (--rank).</translation>
    </message>
    <message>
        <source>The stored adapter {sha256} is damaged: its bytes have changed. Copy it from a backup, or download it again.</source>
        <translation>Der gespeicherte Adapter {sha256} ist beschädigt: Seine Bytes haben sich geändert. Kopieren Sie ihn aus einer Sicherung, oder laden Sie ihn noch einmal herunter.</translation>
    </message>
    <message>
        <source>The sum cannot be opened yet: some of the shares that sites have sent for {site} are wrong. It is tried again with those of the sites that have not answered.</source>
        <translation>Die Summe lässt sich noch nicht öffnen: Einige der Anteile, die Standorte für {site} gesendet haben, sind falsch. Es wird noch einmal mit denen der Standorte versucht, die noch nicht geantwortet haben.</translation>
    </message>
    <message>
        <source>The table of ICD-10-CM codes that comes with this program is missing or damaged, so no code can be looked up. Install the program again.</source>
        <translation>Die Tabelle der ICD-10-CM-Codes, die diesem Programm beiliegt, fehlt oder ist beschädigt, deshalb lässt sich kein Code nachschlagen. Installieren Sie das Programm neu.</translation>
    </message>
    <message>
        <source>The tensor {tensor} contains values that are not finite numbers. Training may have diverged; lower the learning rate and train again.</source>
        <translation>Der Tensor {tensor} enthält Werte, die keine endlichen Zahlen sind. Vielleicht ist das Training divergiert; senken Sie die Lernrate, und trainieren Sie noch einmal.</translation>
    </message>
    <message>
        <source>The tensor {tensor} does not belong in a LoRA adapter. Choose an adapter with only LoRA factors of linear layers.</source>
        <translation>Der Tensor {tensor} gehört nicht in einen LoRA-Adapter. Wählen Sie einen Adapter, der nur LoRA-Faktoren linearer Schichten hat.</translation>
    </message>
    <message>
        <source>The tensor {tensor} has shape {shape}, but {expected} is needed. Create the adapter again.</source>
        <translation>Der Tensor {tensor} hat die Form {shape}, nötig ist aber {expected}. Erstellen Sie den Adapter noch einmal.</translation>
    </message>
    <message>
        <source>The tensor {tensor} has type {dtype}; {expected} is needed. Save the adapter in that type.</source>
        <translation>Der Tensor {tensor} hat den Typ {dtype}; nötig ist {expected}. Speichern Sie den Adapter in diesem Typ.</translation>
    </message>
    <message>
        <source>The tensor {tensor} is missing, but the other factor of its pair is there. Create the adapter again.</source>
        <translation>Der Tensor {tensor} fehlt, der andere Faktor seines Paares ist aber da. Erstellen Sie den Adapter noch einmal.</translation>
    </message>
    <message>
        <source>The tokenizer in {path} does not belong to the model beside it: it has a token with the number {number} ({token}), but the model knows only {rows} tokens. Download the model again.</source>
        <translation>Der Tokenizer in {path} gehört nicht zum Modell daneben: Er hat ein Token mit der Nummer {number} ({token}), das Modell kennt aber nur {rows} Tokens. Laden Sie das Modell noch einmal herunter.</translation>
    </message>
    <message>
        <source>The tokenizer in {path} names no end token, so an answer would never end. Choose a base model whose tokenizer has one (eos_token).</source>
        <translation>Der Tokenizer in {path} nennt kein Schluss-Token, sodass eine Antwort nie enden würde. Wählen Sie ein Basismodell, dessen Tokenizer eines hat (eos_token).</translation>
    </message>
    <message>
        <source>The transfer made no progress, so another site took its place. It continues later from where it stopped.</source>
        <translation>Die Übertragung kam nicht voran, deshalb bekam ein anderer Standort ihren Platz. Sie geht später dort weiter, wo sie stehen geblieben ist.</translation>
    </message>
    <message>
        <source>The transformers library cannot load the model in {path} as a causal language model. Choose one that it can, such as the text model by itself.</source>
        <translation>Die Bibliothek transformers kann das Modell in {path} nicht als kausales Sprachmodell laden. Wählen Sie eines, bei dem sie es kann, etwa das Textmodell allein.</translation>
    </message>
    <message>
        <source>The types file {name} cannot be used: {reason}. It needs a table [types.map] with rows such as Chemical = &quot;drug&quot;.</source>
        <translation>Die Typendatei {name} ist nicht verwendbar: {reason}. Sie braucht eine Tabelle [types.map] mit Zeilen wie Chemical = &quot;drug&quot;.</translation>
    </message>
    <message>
        <source>The types file {name} does not exist. Check its name and folder.</source>
        <translation>Die Typendatei {name} gibt es nicht. Prüfen Sie Name und Ordner.</translation>
    </message>
    <message>
        <source>The types map translates {local} to {target}, but the federation&apos;s types are {expected}. Correct the map.</source>
        <translation>Die Typenzuordnung übersetzt {local} in {target}, die Typen der Föderation sind aber {expected}. Korrigieren Sie die Zuordnung.</translation>
    </message>
    <message>
        <source>The update adapts {module}, which is not part of this federation.</source>
        <translation>Der Beitrag passt {module} an, das nicht zu dieser Föderation gehört.</translation>
    </message>
    <message>
        <source>The update answers another plan than the one this site has in this round.</source>
        <translation>Der Beitrag antwortet auf einen anderen Plan als den, den dieser Standort in dieser Runde hat.</translation>
    </message>
    <message>
        <source>The update cannot be unpacked: {reason}. Send it again; if this message comes again, train the round again.</source>
        <translation>Der Beitrag lässt sich nicht entpacken: {reason}. Senden Sie ihn noch einmal; wenn diese Meldung wieder kommt, trainieren Sie die Runde neu.</translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It counts as it is. Ask the site whether its notes or its training have changed.</source>
        <translation>Der Beitrag ändert das Modell um {norm}, mehr als die Grenze von {limit}. Er zählt unverändert. Fragen Sie den Standort, ob sich seine Texte oder sein Training geändert haben.</translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It was shortened to the bound. Ask the site whether its notes or its training have changed.</source>
        <translation>Der Beitrag ändert das Modell um {norm}, mehr als die Grenze von {limit}. Er wurde auf die Grenze gekürzt. Fragen Sie den Standort, ob sich seine Texte oder sein Training geändert haben.</translation>
    </message>
    <message>
        <source>The update does not adapt {module}, which is part of this federation.</source>
        <translation>Der Beitrag passt {module} nicht an, das zu dieser Föderation gehört.</translation>
    </message>
    <message>
        <source>The update does not have the parts that the plan asked for.</source>
        <translation>Der Beitrag hat nicht die Teile, die der Plan verlangt hat.</translation>
    </message>
    <message>
        <source>The update has rank {found} in {module}; the plan asked for {expected}.</source>
        <translation>Der Beitrag hat in {module} Rang {found}; der Plan verlangte {expected}.</translation>
    </message>
    <message>
        <source>The update has scale {found} in {module}; the federation&apos;s scale is {expected}.</source>
        <translation>Der Beitrag hat in {module} die Skalierung {found}; die der Föderation ist {expected}.</translation>
    </message>
    <message>
        <source>The update has shape {found} in {module}; the base model needs {expected}.</source>
        <translation>Der Beitrag hat in {module} die Form {found}; das Basismodell braucht {expected}.</translation>
    </message>
    <message>
        <source>The update has values larger than {largest} in {module}, so training has diverged. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>Der Beitrag hat in {module} Werte größer als {largest}, das Training ist also divergiert. Bitten Sie den Betreiber des Koordinators um eine kleinere Lernrate.</translation>
    </message>
    <message>
        <source>The update has {size} bytes; an update of the planned rank has at most {limit}.</source>
        <translation>Der Beitrag hat {size} Bytes; ein Beitrag vom geplanten Rang hat höchstens {limit}.</translation>
    </message>
    <message>
        <source>The update is not the {expected} bytes of masked numbers that the plan asked for; it has {size} bytes.</source>
        <translation>Der Beitrag besteht nicht aus den {expected} Bytes maskierter Zahlen, die der Plan verlangt hat; er hat {size} Bytes.</translation>
    </message>
    <message>
        <source>The update points away from the others: its cosine with their mean is {cosine}, below {least}. It still counts. Ask the site what its notes are about; unusual notes are no fault.</source>
        <translation>Der Beitrag weist in eine andere Richtung als die übrigen: Sein Kosinus mit ihrem Mittel ist {cosine}, unter {least}. Er zählt trotzdem. Fragen Sie den Standort, wovon seine Texte handeln; ungewöhnliche Texte sind kein Fehler.</translation>
    </message>
    <message>
        <source>The update that the round waits for is no longer at the site either. Copy the file {sha256} to {path} from a backup.</source>
        <translation>Der Beitrag, auf den die Runde wartet, ist auch am Standort nicht mehr vorhanden. Kopieren Sie die Datei {sha256} aus einer Sicherung nach {path}.</translation>
    </message>
    <message>
        <source>The update was not combined: among {updates}, others are closer to one another (Krum). Its site takes part in the next round as before.</source>
        <translation>Der Beitrag wurde nicht einbezogen: Von {updates} Beiträgen liegen andere näher beieinander (Krum). Sein Standort nimmt an der nächsten Runde teil wie bisher.</translation>
    </message>
    <message>
        <source>The update {sha256} stays on this computer: the audit file {path} has no entry that it was about to be released. Keep both files, and show them to whoever supports this program before you continue.</source>
        <translation>Der Beitrag {sha256} bleibt auf diesem Rechner: Die Audit-Datei {path} hat keinen Eintrag, dass er zum Senden übergeben werden sollte. Behalten Sie beide Dateien, und zeigen Sie sie der Person, die das Programm betreut, bevor Sie weitermachen.</translation>
    </message>
    <message>
        <source>The update&apos;s model has no finite loss on the coordinator&apos;s notes, so it cannot be given a weight. Training may have diverged; lower the learning rate and train again.</source>
        <translation>Das Modell des Beitrags hat auf den Texten des Koordinators keinen endlichen Verlust, deshalb kann es kein Gewicht bekommen. Vielleicht ist das Training divergiert; senken Sie die Lernrate, und trainieren Sie noch einmal.</translation>
    </message>
    <message>
        <source>The update&apos;s norm is {found}, but its report says {reported}.</source>
        <translation>Die Norm des Beitrags ist {found}, sein Bericht sagt aber {reported}.</translation>
    </message>
    <message>
        <source>The update&apos;s report counts notes by specialty or type, which this federation does not share. Use the same program as the coordinator.</source>
        <translation>Der Bericht des Beitrags zählt Texte nach Fachgebiet oder Typ, was diese Föderation nicht teilt. Verwenden Sie dasselbe Programm wie der Koordinator.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not contain the loss on the federation&apos;s shared notes, which decides its weight. Give this site the shared notes.</source>
        <translation>Der Bericht des Beitrags enthält nicht den Verlust auf den gemeinsamen Texten der Föderation, der sein Gewicht bestimmt. Geben Sie diesem Standort die gemeinsamen Texte.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not say how important each of the federation&apos;s matrices is, or says it without being asked. Use the same program as the coordinator.</source>
        <translation>Der Bericht des Beitrags sagt nicht, wie wichtig jede Matrix der Föderation ist, oder sagt es ungefragt. Verwenden Sie dasselbe Programm wie der Koordinator.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not say how many notes of each specialty (or entities of each type) the site has, which the method needs. Add the specialties to the site&apos;s notes, or leave the federation.</source>
        <translation>Der Bericht des Beitrags sagt nicht, wie viele Texte jedes Fachgebiets (oder Entitäten jedes Typs) der Standort hat, was die Methode braucht. Ergänzen Sie die Fachgebiete in den Texten des Standorts, oder verlassen Sie die Föderation.</translation>
    </message>
    <message>
        <source>The update&apos;s report has scores for tasks, types or measures that are not part of this federation.</source>
        <translation>Der Bericht des Beitrags hat Scores für Aufgaben, Typen oder Maße, die nicht zu dieser Föderation gehören.</translation>
    </message>
    <message>
        <source>The updates of round {round} are being combined. Try again once that is done.</source>
        <translation>Die Beiträge der Runde {round} werden gerade zusammengeführt. Versuchen Sie es danach noch einmal.</translation>
    </message>
    <message>
        <source>The {device} does not have enough memory for one note. Choose a smaller base model, a 4-bit base model, or a smaller max_tokens.</source>
        <translation>Der Speicher von {device} reicht nicht für einen Text. Wählen Sie ein kleineres Basismodell, ein 4-Bit-Basismodell oder ein kleineres max_tokens.</translation>
    </message>
    <message>
        <source>There are no notes that can be used.</source>
        <translation>Es gibt keine verwendbaren Texte.</translation>
    </message>
    <message>
        <source>There are no {split} notes that fit the federation&apos;s maximum length. Add notes, or ask for a larger max_tokens.</source>
        <translation>Es gibt keine Texte für „{split}“, die in die Höchstlänge der Föderation passen. Nehmen Sie Texte hinzu, oder bitten Sie um ein größeres max_tokens.</translation>
    </message>
    <message>
        <source>There are no {split} notes. Add some; or remove the split from all notes, and a new one is proposed.</source>
        <translation>Es gibt keine Texte für „{split}“. Legen Sie dort welche ab, oder lassen Sie die Aufteilung bei allen Texten weg und eine vorschlagen.</translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few for Krum, which needs two for each site that may be wrong and three more. They were combined by their usual weights.</source>
        <translation>Es gibt nur {updates} Beiträge, zu wenige für Krum, das zwei für jeden Standort braucht, der fehlerhaft sein darf, und drei dazu. Sie wurden mit ihren üblichen Gewichten zusammengeführt.</translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few to leave out any of their values. They were combined by their usual weights.</source>
        <translation>Es gibt nur {updates} Beiträge, zu wenige, um Werte davon auszulassen. Sie wurden mit ihren üblichen Gewichten zusammengeführt.</translation>
    </message>
    <message>
        <source>There are {groups} groups of notes for {sites} sites. Ask for fewer sites or more notes.</source>
        <translation>Es gibt {groups} Gruppen von Texten für {sites} Standorte. Verlangen Sie weniger Standorte oder mehr Texte.</translation>
    </message>
    <message>
        <source>There are {processes} processes but only {cards} GPUs, and each process needs its own. Start torchrun with --nproc-per-node {cards}.</source>
        <translation>Es gibt {processes} Prozesse, aber nur {cards} GPUs, und jeder Prozess braucht eine eigene. Starten Sie torchrun mit --nproc-per-node {cards}.</translation>
    </message>
    <message>
        <source>There is already a federation in {path}. Choose another folder: nothing is overwritten.</source>
        <translation>In {path} ist schon eine Föderation. Wählen Sie einen anderen Ordner: Es wird nichts überschrieben.</translation>
    </message>
    <message>
        <source>There is hardly enough memory for the program alone. The demonstration may work; to train, use a computer with more memory.</source>
        <translation>Der Speicher reicht kaum für das Programm allein. Die Demo läuft vielleicht; verwenden Sie zum Trainieren einen Rechner mit mehr Speicher.</translation>
    </message>
    <message>
        <source>There is no adapter at {path}. Check the path.</source>
        <translation>Unter {path} gibt es keinen Adapter. Prüfen Sie den Pfad.</translation>
    </message>
    <message>
        <source>There is no adapter in {path}: a site has one once its federation has finished. Wait for that, or name an adapter with --adapter.</source>
        <translation>In {path} gibt es keinen Adapter: Ein Standort hat ihn, sobald seine Föderation beendet ist. Warten Sie so lange, oder nennen Sie mit --adapter einen Adapter.</translation>
    </message>
    <message>
        <source>There is no audit file at {path}. Choose the data folder of a site or a coordinator, its audit.sqlite, or an exported .json file.</source>
        <translation>Unter {path} gibt es keine Audit-Datei. Wählen Sie den Datenordner eines Standorts oder Koordinators, seine audit.sqlite, oder eine exportierte .json-Datei.</translation>
    </message>
    <message>
        <source>There is no column {column}, which was named for {role}. The table&apos;s columns: {found}.</source>
        <translation>Es gibt keine Spalte {column}, die für {role} genannt wurde. Spalten der Tabelle: {found}.</translation>
    </message>
    <message>
        <source>There is no connection to the coordinator at {address}. Nothing was done; try again once it is back.</source>
        <translation>Es gibt keine Verbindung zum Koordinator unter {address}. Nichts wurde getan; versuchen Sie es noch einmal, sobald sie wieder steht.</translation>
    </message>
    <message>
        <source>There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set). Without one, take part with fedmed-desktop --site, or see the demonstration with --demo --terminal or --demo --offscreen.</source>
        <translation>Es gibt keine Anzeige (weder DISPLAY noch WAYLAND_DISPLAY ist gesetzt). Nehmen Sie ohne Anzeige mit fedmed-desktop --site teil, oder sehen Sie sich die Demo mit --demo --terminal oder --demo --offscreen an.</translation>
    </message>
    <message>
        <source>There is no experiment at {path}. Give a TOML file; there are some in resources/experiments.</source>
        <translation>Unter {path} gibt es kein Experiment. Geben Sie eine TOML-Datei an; einige liegen in resources/experiments.</translation>
    </message>
    <message>
        <source>There is no federation specification at {path}. Check the path; the host writes the file with --new-federation.</source>
        <translation>Unter {path} gibt es keine Spezifikation einer Föderation. Prüfen Sie den Pfad; der Betreiber schreibt die Datei mit --new-federation.</translation>
    </message>
    <message>
        <source>There is no file {path}. Check the path, and that the medium is plugged in.</source>
        <translation>Es gibt keine Datei {path}. Prüfen Sie den Pfad, und ob der Datenträger eingesteckt ist.</translation>
    </message>
    <message>
        <source>There is no file {path}. Check the path. An invitation&apos;s line begins with fedmed:.</source>
        <translation>Es gibt keine Datei {path}. Prüfen Sie den Pfad. Die Zeile einer Einladung beginnt mit fedmed:.</translation>
    </message>
    <message>
        <source>There is no file {path}. Give the files of the certificate and of its key, or neither: the coordinator then makes its own.</source>
        <translation>Es gibt keine Datei {path}. Geben Sie die Dateien des Zertifikats und seines Schlüssels an, oder keine von beiden: Der Koordinator erstellt dann eigene.</translation>
    </message>
    <message>
        <source>There is no method {method}. Choose one of {known}.</source>
        <translation>Es gibt keine Methode {method}. Wählen Sie eine von {known}.</translation>
    </message>
    <message>
        <source>There is no model folder at {path}. Check the path.</source>
        <translation>Unter {path} gibt es keinen Modellordner. Prüfen Sie den Pfad.</translation>
    </message>
    <message>
        <source>There is no notes folder at {path}. Choose a folder with one folder for each site.</source>
        <translation>Unter {path} gibt es keinen Textordner. Wählen Sie einen Ordner mit je einem Ordner pro Standort.</translation>
    </message>
    <message>
        <source>There is no notes folder {name}. Choose the folder that contains the notes to train and to validate on, such as train.jsonl and validation.jsonl.</source>
        <translation>Es gibt keinen Textordner {name}. Wählen Sie den Ordner mit den Texten zum Trainieren und Validieren, etwa train.jsonl und validation.jsonl.</translation>
    </message>
    <message>
        <source>There is no question. Write what you want to know about the note.</source>
        <translation>Es fehlt eine Frage. Schreiben Sie, was Sie über den Text wissen möchten.</translation>
    </message>
    <message>
        <source>There is no text to read. Paste or open a note first.</source>
        <translation>Es gibt keinen Text zu lesen. Fügen Sie zuerst einen ein, oder öffnen Sie einen.</translation>
    </message>
    <message>
        <source>There is no update {sha256} in the outbox.</source>
        <translation>Es gibt keinen Beitrag {sha256} im Postausgang.</translation>
    </message>
    <message>
        <source>These are too many answers: {limit} at most. Leave some out.</source>
        <translation>Das sind zu viele Antworten: höchstens {limit}. Lassen Sie einige weg.</translation>
    </message>
    <message>
        <source>These notes have no labels for {tasks}. Choose notes that are annotated for it, or another task.</source>
        <translation>Diese Texte haben keine Annotationen für {tasks}. Wählen Sie Texte, die dafür annotiert sind, oder eine andere Aufgabe.</translation>
    </message>
    <message>
        <source>This PEFT adapter uses {feature}, which a federation cannot combine. Use plain LoRA or rsLoRA on linear layers.</source>
        <translation>Dieser PEFT-Adapter verwendet {feature}, was eine Föderation nicht zusammenführen kann. Verwenden Sie einfaches LoRA oder rsLoRA auf linearen Schichten.</translation>
    </message>
    <message>
        <source>This adapter was made for another model. Choose one that was made for this model.</source>
        <translation>Dieser Adapter wurde für ein anderes Modell gemacht. Wählen Sie einen für dieses Modell.</translation>
    </message>
    <message>
        <source>This base model has no layers that could be split over several GPUs. Load it in 4 bits (--nf4), or choose a smaller one.</source>
        <translation>Dieses Basismodell hat keine Schichten, die sich auf mehrere GPUs aufteilen ließen. Laden Sie es in 4 Bit (--nf4), oder nehmen Sie ein kleineres.</translation>
    </message>
    <message>
        <source>This computer and the coordinator agree about the time.</source>
        <translation>Die Uhren dieses Rechners und des Koordinators stimmen überein.</translation>
    </message>
    <message>
        <source>This computer does not trust the certificate of the coordinator at {address} ({reason}), so nothing was sent. If your hospital has its own certificate authority, ask IT to install its root certificate here; otherwise ask the host.</source>
        <translation>Dieser Rechner vertraut dem Zertifikat des Koordinators unter {address} nicht ({reason}), deshalb wurde nichts gesendet. Wenn Ihr Krankenhaus eine eigene Zertifizierungsstelle hat, bitten Sie die IT, deren Stammzertifikat hier zu installieren; sonst fragen Sie den Betreiber.</translation>
    </message>
    <message>
        <source>This computer has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation>Dieser Rechner hat {total} Speicher, davon {free} frei; dieses Modell zu trainieren braucht etwa {needed}.</translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min ahead of the coordinator&apos;s. One of the two is wrong: set both computers to take the time from a time server.</source>
        <translation>Die Uhr dieses Rechners geht gegenüber der des Koordinators {minutes}&#xa0;min vor. Eine der beiden geht falsch: Stellen Sie beide Rechner so ein, dass sie die Zeit von einem Zeitserver beziehen.</translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min behind the coordinator&apos;s. One of the two is wrong: set both computers to take the time from a time server.</source>
        <translation>Die Uhr dieses Rechners geht gegenüber der des Koordinators {minutes}&#xa0;min nach. Eine der beiden geht falsch: Stellen Sie beide Rechner so ein, dass sie die Zeit von einem Zeitserver beziehen.</translation>
    </message>
    <message>
        <source>This data folder belongs to the federation {known}, but the coordinator runs {found}. Choose another --data-dir.</source>
        <translation>Dieser Datenordner gehört zur Föderation {known}, der Koordinator betreibt aber {found}. Wählen Sie ein anderes --data-dir.</translation>
    </message>
    <message>
        <source>This federation does not know this site. Ask the host for an invitation, and join with it.</source>
        <translation>Diese Föderation kennt diesen Standort nicht. Bitten Sie den Betreiber um eine Einladung, und treten Sie damit bei.</translation>
    </message>
    <message>
        <source>This federation&apos;s method needs rank {rank} at each site, but this site&apos;s limit is {cap}. Leave out --rank-cap, or ask the host for a method that allows different ranks, such as flexlora.</source>
        <translation>Die Methode dieser Föderation braucht an jedem Standort Rang {rank}, die Grenze dieses Standorts ist aber {cap}. Lassen Sie --rank-cap weg, oder bitten Sie den Betreiber um eine Methode, die verschiedene Ränge erlaubt, etwa flexlora.</translation>
    </message>
    <message>
        <source>This file is a site&apos;s answer. Give it to the coordinator, with --import-update.</source>
        <translation>Diese Datei ist die Antwort eines Standorts. Sie gehört zum Koordinator, der sie mit --import-update übernimmt.</translation>
    </message>
    <message>
        <source>This file is for {found}, and this site is {site}. Use the file that the host made for {site}.</source>
        <translation>Diese Datei ist für {found}, und dieser Standort ist {site}. Verwenden Sie die Datei, die der Betreiber für {site} erstellt hat.</translation>
    </message>
    <message>
        <source>This file is not a readable round ({place}). Copy it again, or have it made again with the same version of fedmed-desktop.</source>
        <translation>Diese Datei ist keine lesbare Runde ({place}). Kopieren Sie sie noch einmal, oder lassen Sie sie mit derselben Version von fedmed-desktop neu erstellen.</translation>
    </message>
    <message>
        <source>This file was changed after it was signed. Nothing was taken from it. Copy it again; if that does not help, tell the host: someone may have changed it on the way.</source>
        <translation>Diese Datei wurde nach dem Signieren geändert. Nichts wurde daraus übernommen. Kopieren Sie sie noch einmal; wenn das nicht hilft, sagen Sie es dem Betreiber: Jemand hat sie vielleicht unterwegs geändert.</translation>
    </message>
    <message>
        <source>This file was made for a site, by --export-round. Give the coordinator the file that the site wrote with --bundle-out.</source>
        <translation>Diese Datei wurde mit --export-round für einen Standort erstellt. Der Koordinator übernimmt die Datei, die der Standort mit --bundle-out geschrieben hat.</translation>
    </message>
    <message>
        <source>This file was made with another version of fedmed-desktop (protocol {found}, here {known}). Use the same version on both sides.</source>
        <translation>Diese Datei wurde mit einer anderen Version von fedmed-desktop erstellt (Protokoll {found}, hier {known}). Verwenden Sie auf beiden Seiten dieselbe Version.</translation>
    </message>
    <message>
        <source>This file was not signed by the sender that it names. Nothing was taken from it. Tell the host: someone may have changed it on the way.</source>
        <translation>Diese Datei ist nicht von dem Absender signiert, den sie nennt. Nichts wurde daraus übernommen. Sagen Sie es dem Betreiber: Jemand hat sie vielleicht unterwegs geändert.</translation>
    </message>
    <message>
        <source>This invitation is for another role: a site cannot use a host&apos;s invitation, nor a host a site&apos;s. Ask the host for the right one.</source>
        <translation>Der Code dieser Einladung ist für eine andere Rolle: Der eines Betreibers lässt keinen Standort ein, der eines Standorts keinen Betreiber. Bitten Sie den Betreiber um die richtige Art von Einladung.</translation>
    </message>
    <message>
        <source>This invitation is from another coordinator (fingerprint {found}) than the one that this site joined (fingerprint {expected}). Use the data folder that belongs to it, or ask the host which is right.</source>
        <translation>Diese Einladung ist von einem anderen Koordinator (Fingerabdruck {found}) als dem, dem dieser Standort beigetreten ist (Fingerabdruck {expected}). Verwenden Sie den Datenordner, der dazugehört, oder fragen Sie den Betreiber, welcher richtig ist.</translation>
    </message>
    <message>
        <source>This invitation is mistyped or incomplete: its checksum is wrong. Nothing was sent. Copy it again: the whole line, from fedmed: to the end.</source>
        <translation>Diese Einladung enthält einen Tippfehler oder ist unvollständig: Ihre Prüfsumme ist falsch. Nichts wurde gesendet. Kopieren Sie sie noch einmal, die ganze Zeile von fedmed: bis zum Ende.</translation>
    </message>
    <message>
        <source>This invitation is not valid: a newer one replaced it, the host took it back, or it belongs to another federation. Ask the host for a new one.</source>
        <translation>Diese Einladung ist nicht gültig: Eine neuere hat sie ersetzt, der Betreiber hat sie zurückgenommen, oder sie gehört zu einer anderen Föderation. Bitten Sie den Betreiber um eine neue.</translation>
    </message>
    <message>
        <source>This invitation is not valid: it contains something that does not belong in an invitation. Ask the host for a new one.</source>
        <translation>Diese Einladung ist nicht gültig: Sie enthält etwas, das nicht in eine Einladung gehört. Bitten Sie den Betreiber um eine neue.</translation>
    </message>
    <message>
        <source>This invitation was made by a newer version of fedmed-desktop (format {found}; this one reads {known}). Install the version that the host has.</source>
        <translation>Diese Einladung wurde mit einer neueren Version von fedmed-desktop erstellt (Format {found}; diese liest {known}). Installieren Sie die Version, die der Betreiber hat.</translation>
    </message>
    <message>
        <source>This is far longer than an invitation. Paste the line that begins with fedmed: and nothing else.</source>
        <translation>Das ist viel länger als eine Einladung. Fügen Sie die Zeile ein, die mit fedmed: beginnt, und sonst nichts.</translation>
    </message>
    <message>
        <source>This is not a file or folder on this computer. Choose one with Browse.</source>
        <translation>Das ist keine Datei und kein Ordner auf diesem Rechner. Wählen Sie mit „Durchsuchen“.</translation>
    </message>
    <message>
        <source>This is not a proxy&apos;s address. Give one such as http://proxy.example.org:3128 (with a name and a password: http://name:password@proxy.example.org:3128), or &quot;system&quot; or &quot;none&quot;.</source>
        <translation>Das ist nicht die Adresse eines Proxys. Geben Sie eine an wie http://proxy.example.org:3128 (mit Namen und Passwort: http://name:password@proxy.example.org:3128), oder &quot;system&quot; oder &quot;none&quot;.</translation>
    </message>
    <message>
        <source>This is not the coordinator that the invitation is from: its fingerprint is {found}, and {expected} is expected. Nothing was sent. Ask the host by phone before you try again.</source>
        <translation>Das ist nicht der Koordinator, von dem die Einladung stammt: Sein Fingerabdruck ist {found}, erwartet wird {expected}. Nichts wurde gesendet. Fragen Sie den Betreiber am Telefon, bevor Sie es noch einmal versuchen.</translation>
    </message>
    <message>
        <source>This is the invitation of {site} as a host. Open it in the desktop, which shows the federation then; a site needs an invitation of its own.</source>
        <translation>Das ist die Einladung von {site} als Betreiber. Öffnen Sie sie im Programmfenster, das dann die Föderation zeigt; ein Standort braucht eine eigene Einladung.</translation>
    </message>
    <message>
        <source>This is the invitation of {site} as a site, which trains on its notes. A host needs an invitation of its own.</source>
        <translation>Das ist die Einladung von {site} als Standort, der mit seinen Texten trainiert. Ein Betreiber braucht eine eigene Einladung.</translation>
    </message>
    <message>
        <source>This model does not fit into this computer&apos;s memory: it needs at least {least}, and the computer has {total}. Use a computer with more memory, or ask the host for a smaller model.</source>
        <translation>Dieses Modell passt nicht in den Speicher dieses Rechners: Es braucht mindestens {least}, und vorhanden sind {total}. Verwenden Sie einen Rechner mit mehr Speicher, oder bitten Sie den Betreiber um ein kleineres Modell.</translation>
    </message>
    <message>
        <source>This model does not fit into {gpu}: it needs at least {least}, and the GPU has {total}. Load it in 4 bits (--nf4), use a computer with a larger GPU, or ask the host for a smaller model.</source>
        <translation>Dieses Modell passt nicht in {gpu}: Es braucht mindestens {least}, und die GPU hat {total}. Laden Sie es in 4 Bit (--nf4), verwenden Sie einen Rechner mit einer größeren GPU, oder bitten Sie den Betreiber um ein kleineres Modell.</translation>
    </message>
    <message>
        <source>This note has more than {limit} characters. Shorten it, or read it in parts.</source>
        <translation>Dieser Text hat mehr als {limit} Zeichen. Kürzen Sie ihn, oder lesen Sie ihn in Teilen.</translation>
    </message>
    <message>
        <source>This site has a model of its own already, in {path}, because {method} keeps a part of the model at each site. To fit another adapter, name it with --adapter.</source>
        <translation>Dieser Standort hat in {path} schon ein eigenes Modell, weil bei {method} jeder Standort einen Teil des Modells behält. Um einen anderen Adapter anzupassen, nennen Sie ihn mit --adapter.</translation>
    </message>
    <message>
        <source>This site has never joined the coordinator at {address}. Ask its host for an invitation.</source>
        <translation>Dieser Standort ist dem Koordinator unter {address} nie beigetreten. Bitten Sie den Betreiber um eine Einladung.</translation>
    </message>
    <message>
        <source>This site has no secret key yet. It is made when the site first joins.</source>
        <translation>Dieser Standort hat noch keinen geheimen Schlüssel. Er wird erstellt, wenn der Standort zum ersten Mal beitritt.</translation>
    </message>
    <message>
        <source>This site was not asked for an update in this round.</source>
        <translation>Dieser Standort wurde in dieser Runde nicht um einen Beitrag gebeten.</translation>
    </message>
    <message>
        <source>This site would weigh {weight}, more than the {largest} that the federation was founded for. Take part with fewer notes, or ask the host to found one with a larger secure_aggregation.largest_weight.</source>
        <translation>Dieser Standort hätte das Gewicht {weight}, mehr als die {largest}, für die die Föderation gegründet wurde. Nehmen Sie mit weniger Texten teil, oder bitten Sie den Betreiber, eine mit größerem secure_aggregation.largest_weight zu gründen.</translation>
    </message>
    <message>
        <source>This site&apos;s base model is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Choose the model folder that the federation was made with.</source>
        <translation>Das Basismodell dieses Standorts ist nicht das der Föderation (Fingerabdruck {found}, erwartet {expected}). Wählen Sie den Modellordner, mit dem die Föderation gegründet wurde.</translation>
    </message>
    <message>
        <source>This update is {state}, so it cannot be {decision} any more.</source>
        <translation>Dieser Beitrag hat den Stand „{state}“, deshalb ist „{decision}“ nicht mehr möglich.</translation>
    </message>
    <message>
        <source>This was already asked on this connection, and is done only once.</source>
        <translation>Das wurde auf dieser Verbindung schon einmal verlangt, und es zählt nur einmal.</translation>
    </message>
    <message>
        <source>Too many messages came at once, so the connection was closed. It is opened again by itself.</source>
        <translation>Es kamen zu viele Nachrichten auf einmal, deshalb wurde die Verbindung geschlossen. Sie wird von selbst wieder aufgebaut.</translation>
    </message>
    <message>
        <source>Too many wrong codes came from this address. Wait a minute, and copy the invitation whole.</source>
        <translation>Von dieser Adresse kamen zu viele falsche Codes. Warten Sie eine Minute, und kopieren Sie die Einladung ganz.</translation>
    </message>
    <message>
        <source>Too much was asked for within a minute. Wait a minute, then go on.</source>
        <translation>Das war in einer Minute mehr, als ein Betreiber meinen kann. Warten Sie eine Minute, dann geht es weiter.</translation>
    </message>
    <message>
        <source>Training failed at step {step}: the loss is no longer a number at learning rate {rate}. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>Das Training ist in Schritt {step} fehlgeschlagen: Bei der Lernrate {rate} ist der Verlust keine Zahl mehr. Bitten Sie den Betreiber des Koordinators um eine kleinere Lernrate.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed} with a whole batch at once, and {gpu} has {total}. With less at once it needs {least} or more, and takes longer. Load the model in 4 bits (--nf4) to be quicker.</source>
        <translation>Dieses Modell zu trainieren braucht für einen ganzen Batch etwa {needed}, und {gpu} hat {total}. Mit weniger auf einmal braucht es {least} oder mehr und dauert länger. Laden Sie das Modell in 4 Bit (--nf4), damit es schneller geht.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, and at the very least {least}; this computer has {total} of memory, so it may not fit. Load the model in 4 bits (--nf4), or use a computer with more memory.</source>
        <translation>Dieses Modell zu trainieren braucht etwa {needed}, mindestens aber {least}, und dieser Rechner hat {total} Speicher: Vielleicht reicht es nicht. Laden Sie das Modell in 4 Bit (--nf4), oder verwenden Sie einen Rechner mit mehr Speicher.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of this computer&apos;s {total} is free. Close other programs before the federation begins.</source>
        <translation>Dieses Modell zu trainieren braucht etwa {needed}, aber nur {free} der {total} dieses Rechners sind frei. Schließen Sie andere Programme, bevor die Föderation beginnt.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of {gpu}&apos;s {total} is free. Close whatever else is using it before the federation begins.</source>
        <translation>Dieses Modell zu trainieren braucht etwa {needed}, aber nur {free} der {total} von {gpu} sind frei. Schließen Sie, was sie sonst verwendet, bevor die Föderation beginnt.</translation>
    </message>
    <message>
        <source>Training was interrupted in round {round}, at step {step} of {steps}, before anything was saved. It begins anew as soon as the coordinator answers; if the round has closed meanwhile, with the next round.</source>
        <translation>Das Training wurde in Runde {round} bei Schritt {step} von {steps} unterbrochen, bevor etwas gespeichert war. Es beginnt neu, sobald der Koordinator antwortet; ist die Runde inzwischen beendet, mit der nächsten.</translation>
    </message>
    <message>
        <source>Training was interrupted in round {round}, at step {step} of {steps}. It goes on from the last saved step as soon as the coordinator answers; if the round has closed meanwhile, with the next round.</source>
        <translation>Das Training wurde in Runde {round} bei Schritt {step} von {steps} unterbrochen. Es geht beim letzten gespeicherten Schritt weiter, sobald der Koordinator antwortet; ist die Runde inzwischen beendet, mit der nächsten.</translation>
    </message>
    <message>
        <source>Two adapters are both called {name}. Copy one of them to a folder with another name.</source>
        <translation>Zwei Adapter heißen beide {name}. Kopieren Sie einen davon in einen Ordner mit anderem Namen.</translation>
    </message>
    <message>
        <source>Two sites are said to have the same key, so one of them does not exist. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Zwei Standorte haben angeblich denselben Schlüssel, also gibt es einen von ihnen nicht. In dieser Runde wurde nichts gesendet. Fragen Sie den Betreiber der Föderation.</translation>
    </message>
    <message>
        <source>Types of the federation that the notes do not annotate: {types}. This site is neither trained nor scored on them.</source>
        <translation>Typen der Föderation, die in den Texten nicht annotiert sind: {types}. Dieser Standort wird darauf weder trainiert noch bewertet.</translation>
    </message>
    <message>
        <source>What answers at {address} does not encrypt, so it is not the coordinator, or something in between changes the connection. Check the address and the port with the host.</source>
        <translation>Was unter {address} antwortet, verschlüsselt nicht; es ist also nicht der Koordinator, oder etwas dazwischen verändert die Verbindung. Prüfen Sie Adresse und Port mit dem Betreiber.</translation>
    </message>
    <message>
        <source>What answers at {address} is not a coordinator (HTTP {status}). Check the address with the host; this site keeps trying.</source>
        <translation>Was unter {address} antwortet, ist kein Koordinator (HTTP {status}). Prüfen Sie die Adresse mit dem Betreiber; dieser Standort versucht es weiter.</translation>
    </message>
    <message>
        <source>What answers at {address} is not a coordinator, or one that encrypts, as each does that serves a network. Check the port, or ask the host for an invitation; this site keeps trying.</source>
        <translation>Was unter {address} antwortet, ist kein Koordinator oder einer, der verschlüsselt, wie es jeder tut, der ein Netz bedient. Prüfen Sie den Port, oder bitten Sie den Betreiber um eine Einladung; dieser Standort versucht es weiter.</translation>
    </message>
    <message>
        <source>What answers at {proxy} is not an HTTP proxy. Check the proxy&apos;s address.</source>
        <translation>Unter {proxy} antwortet etwas, aber es ist kein HTTP-Proxy. Prüfen Sie die Adresse des Proxys.</translation>
    </message>
    <message>
        <source>What differential privacy spends cannot be counted, because dp-accounting is missing here ({reason}). Install fedmed-desktop[site] on this computer.</source>
        <translation>Was Differential Privacy verbraucht, lässt sich nicht zählen, weil dp-accounting hier fehlt ({reason}). Installieren Sie fedmed-desktop[site] auf diesem Rechner.</translation>
    </message>
    <message>
        <source>What {site} encrypted for this site cannot be opened: it was changed on the way, or the keys are not {site}&apos;s. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Was {site} für diesen Standort verschlüsselt hat, lässt sich nicht öffnen: Es wurde unterwegs geändert, oder die Schlüssel gehören nicht {site}. In dieser Runde wurde nichts gesendet. Fragen Sie den Betreiber der Föderation.</translation>
    </message>
    <message>
        <source>With --federation, name the adapter with --adapter and the folder to write with --out.</source>
        <translation>Nennen Sie zu --federation auch den Adapter mit --adapter und mit --out den Ordner, in den geschrieben wird.</translation>
    </message>
    <message>
        <source>With delta {delta}, one of the {units} notes or patients here could leave entirely unprotected. Nothing is trained. Ask the host for a delta well below 1/{units}.</source>
        <translation>Mit Delta {delta} könnte einer der {units} Texte oder Patienten hier ganz ungeschützt hinausgehen. Es wird nicht trainiert. Bitten Sie den Betreiber um ein Delta deutlich unter 1/{units}.</translation>
    </message>
    <message>
        <source>With split.by = &quot;{by}&quot; the notes have {found} different labels, too few for {sites} sites. Ask for fewer sites, or write by = &quot;dirichlet&quot;.</source>
        <translation>Mit split.by = &quot;{by}&quot; haben die Texte {found} verschiedene Werte, zu wenige für {sites} Standorte. Verlangen Sie weniger Standorte, oder schreiben Sie by = &quot;dirichlet&quot;.</translation>
    </message>
    <message>
        <source>You can look for at most {limit} types at a time. Name fewer types.</source>
        <translation>Sie können nach höchstens {limit} Typen auf einmal suchen. Nennen Sie weniger Typen.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) allows at most epsilon {most}, and with this update {found} would be spent. It stays here. Whoever keeps the policy can change that.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) erlaubt höchstens Epsilon {most}, und mit diesem Beitrag wären {found} verbraucht. Er bleibt hier. Die Verantwortlichen für die Richtlinie können das ändern.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) allows at most rank {most}, and this has rank {found}. Nothing is trained or leaves. Start the site with --rank-cap {most}, so that it is never asked for more.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) erlaubt höchstens Rang {most}, und dies hat Rang {found}. Nichts wird trainiert, und nichts geht hinaus. Starten Sie den Standort mit --rank-cap {most}, damit nicht mehr von ihm verlangt wird.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for at least {least} training notes, and this was trained on {found}. It stays here. Add notes, or ask whoever keeps the policy.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) verlangt mindestens {least} Trainingstexte, und dies ist mit {found} trainiert. Es bleibt hier. Nehmen Sie Texte hinzu, oder wenden Sie sich an die Verantwortlichen für die Richtlinie.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for differential privacy with epsilon at most {most}, and this federation trains without it. Nothing is trained or leaves. Ask its host for [training.privacy], or whoever keeps the policy to change it.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) verlangt Differential Privacy mit Epsilon höchstens {most}, und diese Föderation trainiert ohne. Nichts wird trainiert, und nichts geht hinaus. Bitten Sie den Betreiber um [training.privacy], oder wenden Sie sich an die Verantwortlichen für die Richtlinie.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for no more than this program does.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) verlangt nicht mehr, als dieses Programm tut.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for two people: a second one must approve as well.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) verlangt zwei Personen: Eine zweite muss ebenfalls freigeben.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) does not let this leave. It stays here. Whoever keeps the policy can change that rule.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) lässt dies nicht hinaus. Es bleibt hier. Die Verantwortlichen für die Richtlinie können diese Regel ändern.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) does not let {scalar} leave, which this update still tells: it was made before the policy said so. It stays here. Whoever keeps the policy can change that.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) lässt {scalar} nicht hinaus, was in diesem Update noch steht: Es entstand, bevor die Richtlinie das sagte. Es bleibt hier. Die Verantwortlichen für die Richtlinie können das ändern.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) leaves no hour of the week in which anything may leave: its files do not agree. Ask whoever keeps the policy.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) lässt keine Stunde der Woche übrig, in der etwas hinausdarf: Ihre Dateien widersprechen sich. Wenden Sie sich an die Verantwortlichen für die Richtlinie.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets at most {most} bytes leave, and this update has {found}. It stays here. A smaller rank makes it smaller; or ask whoever keeps the policy.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) lässt höchstens {most} Bytes hinaus, und dieser Beitrag hat {found}. Er bleibt hier. Ein kleinerer Rang macht ihn kleiner; oder wenden Sie sich an die Verantwortlichen für die Richtlinie.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets nothing leave that is rated worse than {most}, and what this adapter may reveal is rated {found}. It stays here. More notes, fewer steps or a smaller learning rate reveal less.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) lässt nichts hinaus, was schlechter als „{most}“ bewertet ist, und was dieser Adapter verraten kann, ist mit „{found}“ bewertet. Er bleibt hier. Mehr Texte, weniger Schritte oder eine kleinere Lernrate verraten weniger.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets only these people approve: {names}.</source>
        <translation>Nach der Richtlinie Ihres Krankenhauses ({rule}) dürfen nur diese Personen freigeben: {names}.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) requires a person here, because what this adapter may reveal could not be measured. Look at it in the desktop, or start the site without --approve-rule.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) verlangt hier eine Person: Was dieser Adapter verraten kann, ließ sich nicht messen. Sehen Sie ihn sich im Programmfenster an, oder starten Sie den Standort ohne --approve-rule.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) requires a person: a rule that approves by itself does not count here. Decide in the desktop, or start the site without --approve-rule.</source>
        <translation>Die Richtlinie Ihres Krankenhauses ({rule}) verlangt eine Person: Eine Regel, die von selbst freigibt, zählt hier nicht. Entscheiden Sie im Programmfenster, oder starten Sie den Standort ohne --approve-rule.</translation>
    </message>
    <message>
        <source>training.mention_weight cannot be used: the base model&apos;s tokenizer does not say which characters a token stands for, so the beginnings of mentions cannot be found. Take out training.mention_weight, or choose a base model with a tokenizer.json.</source>
        <translation>training.mention_weight ist nicht verwendbar: Der Tokenizer des Basismodells sagt nicht, für welche Zeichen ein Token steht, deshalb lassen sich die Anfänge von Nennungen nicht finden. Streichen Sie training.mention_weight, oder wählen Sie ein Basismodell mit einer tokenizer.json.</translation>
    </message>
    <message>
        <source>{address} is not a coordinator&apos;s address. Give one such as wss://federation.example.org:8765, or ws://127.0.0.1:8765 on this computer.</source>
        <translation>{address} ist keine Adresse eines Koordinators. Geben Sie eine an wie wss://federation.example.org:8765 oder, auf diesem Rechner, ws://127.0.0.1:8765.</translation>
    </message>
    <message>
        <source>{address} is on another computer, and a ws:// connection is not encrypted. Ask the host for an invitation, which has an encrypted address.</source>
        <translation>{address} ist auf einem anderen Rechner, und eine ws://-Verbindung ist nicht verschlüsselt. Bitten Sie den Betreiber um eine Einladung; sie hat eine verschlüsselte Adresse.</translation>
    </message>
    <message>
        <source>{corpus} annotates none of the experiment&apos;s types. It has: {found}. Add one of these to types, or leave the corpus out.</source>
        <translation>{corpus} annotiert keinen der Typen des Experiments. Es hat: {found}. Nehmen Sie einen davon in types auf, oder lassen Sie das Korpus weg.</translation>
    </message>
    <message>
        <source>{corpus} has too few notes ({found}) that no site has. Choose another corpus, or ask for fewer.</source>
        <translation>{corpus} hat zu wenige Texte ({found}), die kein Standort hat. Wählen Sie ein anderes Korpus, oder verlangen Sie weniger.</translation>
    </message>
    <message>
        <source>{free} is free for the folder {path}.</source>
        <translation>Für den Ordner {path} sind {free} frei.</translation>
    </message>
    <message>
        <source>{free} is free for the folder {path}; about {needed} may be needed. Free some space before the federation begins.</source>
        <translation>Für den Ordner {path} sind {free} frei; etwa {needed} könnten nötig sein. Schaffen Sie Platz, bevor die Föderation beginnt.</translation>
    </message>
    <message>
        <source>{given} names no cohort. Write --cohort NAME=PATH, such as --cohort Northside=notes/northside.</source>
        <translation>{given} benennt keine Kohorte. Schreiben Sie --cohort NAME=PATH, etwa --cohort Northside=notes/northside.</translation>
    </message>
    <message>
        <source>{gpu} has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation>{gpu} hat {total} Speicher, davon {free} frei; dieses Modell zu trainieren braucht etwa {needed}.</translation>
    </message>
    <message>
        <source>{method} does not need the coordinator to measure updates. Leave out --score-with, or set measured_by = &quot;coordinator&quot; if the method has it.</source>
        <translation>Bei {method} muss der Koordinator keine Beiträge messen. Lassen Sie --score-with weg, oder setzen Sie measured_by = &quot;coordinator&quot;, falls die Methode das hat.</translation>
    </message>
    <message>
        <source>{method} needs the coordinator to measure each update, so the coordinator needs a base model and notes. Start it with --score-with MODEL NOTES, or choose another method.</source>
        <translation>Bei {method} muss der Koordinator jeden Beitrag messen, deshalb braucht er ein Basismodell und Texte. Starten Sie ihn mit --score-with MODEL NOTES, oder wählen Sie eine andere Methode.</translation>
    </message>
    <message>
        <source>{name} cannot be a site&apos;s name. Use up to 60 letters, digits, spaces and . , &apos; - &amp; ( ), and begin with a letter or digit.</source>
        <translation>{name} kann nicht der Name eines Standorts sein. Verwenden Sie bis zu 60 Buchstaben, Ziffern, Leerzeichen und . , &apos; - &amp; ( ), und beginnen Sie mit einem Buchstaben oder einer Ziffer.</translation>
    </message>
    <message>
        <source>{name} cannot be a type. Write plain words separated by commas, such as drug, problem.</source>
        <translation>{name} kann kein Typ sein. Schreiben Sie einfache Wörter mit Kommas dazwischen, etwa drug, problem.</translation>
    </message>
    <message>
        <source>{name} cannot be joined: its method {method} needs {scalar} of each update, and your hospital&apos;s policy (scalars) does not let that leave. Ask whoever keeps the policy, or the host for another method.</source>
        <translation>{name} lässt sich nicht beitreten: Die Methode {method} braucht {scalar} von jedem Beitrag, und die Richtlinie Ihres Krankenhauses (scalars) lässt das nicht hinaus. Wenden Sie sich an die Verantwortlichen für die Richtlinie, oder bitten Sie den Betreiber um eine andere Methode.</translation>
    </message>
    <message>
        <source>{name} cannot be read as a picture. Take another one, or paste the line instead.</source>
        <translation>{name} ist nicht als Bild lesbar. Nehmen Sie ein anderes, oder fügen Sie stattdessen die Zeile ein.</translation>
    </message>
    <message>
        <source>{name} cannot be the name of a module. Use the base model&apos;s own names, such as model.layers.0.self_attn.q_proj.</source>
        <translation>{name} kann nicht der Name eines Moduls sein. Verwenden Sie die Namen des Basismodells, etwa model.layers.0.self_attn.q_proj.</translation>
    </message>
    <message>
        <source>{name} contains no notes that can be used. Check that it is the right file or folder.</source>
        <translation>{name} enthält keine verwendbaren Texte. Prüfen Sie, ob es die richtige Datei oder der richtige Ordner ist.</translation>
    </message>
    <message>
        <source>{name} has approved this already: your hospital&apos;s policy (four_eyes) asks for a second person. Nothing has left.</source>
        <translation>{name} hat dies schon freigegeben: Die Richtlinie Ihres Krankenhauses (four_eyes) verlangt eine zweite Person. Nichts ist hinausgegangen.</translation>
    </message>
    <message>
        <source>{name} is not a text file. Open a note as plain text, or copy its text and paste it.</source>
        <translation>{name} ist keine Textdatei. Öffnen Sie den Text als reine Textdatei, oder kopieren Sie seinen Wortlaut und fügen Sie ihn ein.</translation>
    </message>
    <message>
        <source>{name} is not in UTF-8. Save it as UTF-8 text, or copy its text and paste it.</source>
        <translation>{name} ist nicht in UTF-8. Speichern Sie die Datei als UTF-8-Text, oder kopieren Sie ihren Inhalt und fügen Sie ihn ein.</translation>
    </message>
    <message>
        <source>{name} may not approve here: your hospital&apos;s policy (approvers) names {names}. Nothing has left. Ask one of them.</source>
        <translation>{name} darf hier nicht freigeben: Die Richtlinie Ihres Krankenhauses (approvers) nennt {names}. Nichts ist hinausgegangen. Fragen Sie eine dieser Personen.</translation>
    </message>
    <message>
        <source>{path} already exists. Choose another --out folder; an existing federation is never overwritten.</source>
        <translation>{path} gibt es schon. Wählen Sie einen anderen Ordner als --out; eine bestehende Föderation wird nie überschrieben.</translation>
    </message>
    <message>
        <source>{path} and {other} come from the same side. Compare a site&apos;s audit file with its coordinator&apos;s.</source>
        <translation>{path} und {other} sind von derselben Seite. Vergleichen Sie die Audit-Datei eines Standorts mit der seines Koordinators.</translation>
    </message>
    <message>
        <source>{path} cannot be read ({reason}). Use the original corpus, as gzip&apos;d JSON lines.</source>
        <translation>{path} ist nicht lesbar ({reason}). Verwenden Sie das originale Korpus, als mit gzip komprimierte JSON-Zeilen.</translation>
    </message>
    <message>
        <source>{path} cannot be used: {reason}. Copy it again from where it was made.</source>
        <translation>{path} ist nicht verwendbar: {reason}. Kopieren Sie es noch einmal von dort, wo es erstellt wurde.</translation>
    </message>
    <message>
        <source>{path} contains no experiment. Choose a folder that fedmed-desktop --lab has written.</source>
        <translation>{path} enthält kein Experiment. Wählen Sie einen Ordner, den fedmed-desktop --lab geschrieben hat.</translation>
    </message>
    <message>
        <source>{path} contains other files. Choose a new folder, or an empty one.</source>
        <translation>{path} enthält andere Dateien. Wählen Sie einen neuen oder leeren Ordner.</translation>
    </message>
    <message>
        <source>{path} could not be saved: {reason}. Choose another folder or name.</source>
        <translation>{path} konnte nicht gespeichert werden: {reason}. Wählen Sie einen anderen Ordner oder Namen.</translation>
    </message>
    <message>
        <source>{path} does not exist. Give the folder of the evaluation data with --data.</source>
        <translation>{path} gibt es nicht. Geben Sie mit --data den Ordner der Auswertungsdaten an.</translation>
    </message>
    <message>
        <source>{path} does not hold a secret key: 64 hexadecimal digits are needed. Restore it from a backup, or give the right file.</source>
        <translation>{path} enthält keinen geheimen Schlüssel: Nötig sind 64 Hexadezimalziffern. Stellen Sie ihn aus einer Sicherung wieder her, oder geben Sie die richtige Datei an.</translation>
    </message>
    <message>
        <source>{path} does not match what the other side recorded: entry {held} of {other} holds a hash that is not in it. Entries from {entry} on were changed or removed. Compare it with a backup.</source>
        <translation>{path} passt nicht zu dem, was die andere Seite aufgezeichnet hat: Eintrag {held} von {other} enthält einen Hash, den es darin nicht gibt. Einträge ab {entry} wurden geändert oder entfernt. Vergleichen Sie die Datei mit einer Sicherung.</translation>
    </message>
    <message>
        <source>{path} ends in neither .csv nor .json. Give the export one of these endings.</source>
        <translation>{path} endet weder auf .csv noch auf .json. Geben Sie dem Export eine dieser Endungen.</translation>
    </message>
    <message>
        <source>{path} has a {file}, but not the experiment that it belongs to. Choose another folder as --out.</source>
        <translation>{path} hat eine Datei {file}, aber nicht das Experiment, zu dem sie gehört. Wählen Sie einen anderen Ordner als --out.</translation>
    </message>
    <message>
        <source>{path} has no map for the types of {corpus}. Use the original evaluation data, or write [corpora.types].</source>
        <translation>{path} hat keine Zuordnung für die Typen von {corpus}. Verwenden Sie die originalen Auswertungsdaten, oder schreiben Sie [corpora.types].</translation>
    </message>
    <message>
        <source>{path} has notes of {found} sites, but {wanted} are needed. Add folders or lower --sites.</source>
        <translation>{path} hat Texte von {found} Standorten, nötig sind aber {wanted}. Ergänzen Sie Ordner, oder senken Sie --sites.</translation>
    </message>
    <message>
        <source>{path} holds results of {label} with other settings. Give the method a label of its own, or choose another --out.</source>
        <translation>{path} enthält Ergebnisse von {label} mit anderen Einstellungen. Geben Sie der Methode ein eigenes label, oder wählen Sie ein anderes --out.</translation>
    </message>
    <message>
        <source>{path} holds the results of another experiment ({found}), or of an earlier version of this one. Choose another --out.</source>
        <translation>{path} enthält die Ergebnisse eines anderen Experiments ({found}) oder einer früheren Version von diesem. Wählen Sie ein anderes --out.</translation>
    </message>
    <message>
        <source>{path} is a packed backup. Unpack it into a folder of its own (tar -xf {path} -C FOLDER), and give that folder.</source>
        <translation>{path} ist eine gepackte Sicherung. Entpacken Sie sie in einen eigenen Ordner (tar -xf {path} -C FOLDER), und geben Sie diesen Ordner an.</translation>
    </message>
    <message>
        <source>{path} is damaged in line {line}: {reason}. Remove this line and run the lab again with the same --out, or choose another folder.</source>
        <translation>{path} ist in Zeile {line} beschädigt: {reason}. Entfernen Sie diese Zeile, und starten Sie das Labor noch einmal mit demselben --out, oder wählen Sie einen anderen Ordner.</translation>
    </message>
    <message>
        <source>{path} is damaged. It holds what this site learned for itself in an earlier round, which is never sent. Restore it from a backup; or remove the folder {folder}, and the site continues without it.</source>
        <translation>{path} ist beschädigt. Die Datei enthält, was dieser Standort in einer früheren Runde für sich gelernt hat und was nie gesendet wird. Stellen Sie sie aus einer Sicherung wieder her; oder entfernen Sie den Ordner {folder}, und der Standort macht ohne sie weiter.</translation>
    </message>
    <message>
        <source>{path} is damaged: row {row} of its table {table} {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation>{path} ist beschädigt: Zeile {row} der Tabelle {table}: {reason}. Stellen Sie den Ordner {folder} aus einer Sicherung wieder her; wenn Sie keine haben, beginnen Sie in einem anderen Ordner.</translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Choose another --out; or delete this file and cells.jsonl beside it, and run the lab again.</source>
        <translation>{path} ist beschädigt: {reason}. Wählen Sie ein anderes --out; oder löschen Sie diese Datei und cells.jsonl daneben, und starten Sie das Labor noch einmal.</translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation>{path} ist beschädigt: {reason}. Stellen Sie den Ordner {folder} aus einer Sicherung wieder her; wenn Sie keine haben, beginnen Sie in einem anderen Ordner.</translation>
    </message>
    <message>
        <source>{path} is missing or empty, but {folder} holds adapters of a federation that has started. Restore {path} from a backup, or choose another --data-dir to start again.</source>
        <translation>{path} fehlt oder ist leer, {folder} enthält aber Adapter einer Föderation, die begonnen hat. Stellen Sie {path} aus einer Sicherung wieder her, oder wählen Sie ein anderes --data-dir, um neu zu beginnen.</translation>
    </message>
    <message>
        <source>{path} is neither an audit file nor an export of one. Choose a data folder, its audit.sqlite, or a .json file that --verify-audit --export wrote.</source>
        <translation>{path} ist weder eine Audit-Datei noch ein Export davon. Wählen Sie einen Datenordner, seine audit.sqlite, oder eine .json-Datei, die --verify-audit --export geschrieben hat.</translation>
    </message>
    <message>
        <source>{path} is not a certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----). Give a file of that form, with the coordinator&apos;s own certificate first.</source>
        <translation>{path} ist kein Zertifikat im PEM-Format (es beginnt mit -----BEGIN CERTIFICATE-----). Geben Sie eine Datei in diesem Format an, mit dem Zertifikat des Koordinators am Anfang.</translation>
    </message>
    <message>
        <source>{path} is not a model folder: it has no {file}. Choose the folder of the language model that the host agreed on with you (in Hugging Face&apos;s format).</source>
        <translation>{path} ist kein Modellordner: Er hat keine Datei {file}. Wählen Sie den Ordner des Sprachmodells, das der Betreiber mit Ihnen vereinbart hat (im Format von Hugging Face).</translation>
    </message>
    <message>
        <source>{path} is not a private key that can be used. Give the key&apos;s file in PEM form (it begins with -----BEGIN PRIVATE KEY-----).</source>
        <translation>{path} ist kein verwendbarer privater Schlüssel. Geben Sie die Schlüsseldatei im PEM-Format an (sie beginnt mit -----BEGIN PRIVATE KEY-----).</translation>
    </message>
    <message>
        <source>{path} is not an adapter: {reason}. Choose a PEFT folder, or a .safetensors file that fedmed-desktop wrote.</source>
        <translation>{path} ist kein Adapter: {reason}. Wählen Sie einen PEFT-Ordner oder eine .safetensors-Datei, die fedmed-desktop geschrieben hat.</translation>
    </message>
    <message>
        <source>{path} is not linked to a federation as its host. Open it with a host&apos;s invitation, which the coordinator&apos;s command line makes with --invite-host.</source>
        <translation>{path} ist mit keiner Föderation als Betreiber verbunden. Öffnen Sie den Ordner mit der Einladung eines Betreibers; die Befehlszeile des Koordinators erstellt sie mit --invite-host.</translation>
    </message>
    <message>
        <source>{path} is on a file system where a database is not safe (a network drive?). Choose a local disk.</source>
        <translation>{path} liegt auf einem Dateisystem, auf dem eine Datenbank nicht sicher ist (ein Netzlaufwerk?). Wählen Sie eine lokale Festplatte.</translation>
    </message>
    <message>
        <source>{path} is on a read-only disk; a disk can become read-only after a fault. Make it writable again; everything that was acknowledged is safe.</source>
        <translation>{path} liegt auf einer schreibgeschützten Festplatte; nach einem Fehler kann eine Festplatte schreibgeschützt werden. Machen Sie sie wieder beschreibbar; alles, was quittiert wurde, ist sicher.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a coordinator. Choose another --data-dir for the site.</source>
        <translation>{path} ist der Datenordner eines Koordinators. Wählen Sie für den Standort ein anderes --data-dir.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a host. Choose another folder.</source>
        <translation>{path} ist der Datenordner eines Betreibers. Wählen Sie einen anderen Ordner.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a site or of a coordinator. Choose another folder for the host.</source>
        <translation>{path} ist der Datenordner eines Standorts oder eines Koordinators. Wählen Sie für den Betreiber einen anderen Ordner.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a site. Choose another --data-dir for the coordinator.</source>
        <translation>{path} ist der Datenordner eines Standorts. Wählen Sie für den Koordinator ein anderes --data-dir.</translation>
    </message>
    <message>
        <source>{path} is there already and holds files. Choose another name: nothing is written over.</source>
        <translation>{path} gibt es schon und enthält Dateien. Wählen Sie einen anderen Namen: Nichts wird überschrieben.</translation>
    </message>
    <message>
        <source>{path} is there already and is not an earlier carried round. Move it away, or choose another name.</source>
        <translation>{path} gibt es schon, und es ist keine früher überbrachte Runde. Verschieben Sie es, oder wählen Sie einen anderen Namen.</translation>
    </message>
    <message>
        <source>{path} is there already and is not an earlier invitation of {site} to this federation. Move it away, or choose another folder with --out.</source>
        <translation>{path} gibt es schon und ist keine frühere Einladung von {site} zu dieser Föderation. Verschieben Sie es, oder wählen Sie mit --out einen anderen Ordner.</translation>
    </message>
    <message>
        <source>{path} is there already. Choose another name after {option}; a folder must be new or empty.</source>
        <translation>{path} gibt es schon. Wählen Sie nach {option} einen anderen Namen; ein Ordner muss neu oder leer sein.</translation>
    </message>
    <message>
        <source>{path} is there already. Choose another name for the backup; a folder must be new or empty.</source>
        <translation>{path} gibt es schon. Wählen Sie einen anderen Namen für die Sicherung; ein Ordner muss neu oder leer sein.</translation>
    </message>
    <message>
        <source>{path} no longer holds entry {entry} as it was shown, so nothing was marked. Verify the record, and compare it with a backup.</source>
        <translation>{path} enthält Eintrag {entry} nicht mehr so, wie er gezeigt wurde, deshalb wurde nichts vermerkt. Prüfen Sie das Protokoll, und vergleichen Sie es mit einer Sicherung.</translation>
    </message>
    <message>
        <source>{path} was damaged, so the curves of earlier rounds are gone. It is kept as {aside}; new values are recorded again.</source>
        <translation>{path} war beschädigt, deshalb sind die Kurven früherer Runden verloren. Die Datei ist als {aside} aufbewahrt; neue Werte werden wieder aufgezeichnet.</translation>
    </message>
    <message>
        <source>{path} was signed with the key {found}, but its entries name the key {expected}. Ask its owner for an export that the owner&apos;s own key signed.</source>
        <translation>{path} wurde mit dem Schlüssel {found} signiert, seine Einträge nennen aber den Schlüssel {expected}. Bitten Sie den Eigentümer um einen Export, den sein eigener Schlüssel signiert hat.</translation>
    </message>
    <message>
        <source>{path} was written by a newer version of fedmed-desktop (schema {found}; this one knows {known}). Use that version or a later one.</source>
        <translation>{path} wurde von einer neueren Version von fedmed-desktop geschrieben (Schema {found}; diese kennt {known}). Verwenden Sie diese Version oder eine spätere.</translation>
    </message>
    <message>
        <source>{path}: a coordinator that adds the noise must see single updates. Write added_by = &quot;sites&quot; under [client_privacy], so that each site adds its share before it masks, or take out [secure_aggregation].</source>
        <translation>{path}: Ein Koordinator, der das Rauschen addiert, muss einzelne Beiträge sehen. Schreiben Sie added_by = &quot;sites&quot; unter [client_privacy], damit jeder Standort vor dem Maskieren seinen Anteil addiert, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a product is formed of each site&apos;s own two factors, which a sum does not show. Write combine = &quot;factors&quot; with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: Ein Produkt wird aus den beiden Faktoren jedes einzelnen Standorts gebildet, die eine Summe nicht zeigt. Schreiben Sie combine = &quot;factors&quot; mit fed_medlora, fedavg oder fedrot, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a server_step other than 1 continues from where the round started, but a stack starts afresh in each round. Write combine = &quot;factors&quot; or &quot;product&quot;, or server_step = 1.</source>
        <translation>{path}: Ein server_step ungleich 1 geht von dort weiter, wo die Runde begann, ein Stapel beginnt aber in jeder Runde neu. Schreiben Sie combine = &quot;factors&quot; oder &quot;product&quot;, oder server_step = 1.</translation>
    </message>
    <message>
        <source>{path}: a stack gives each round a fresh adapter, in which no matrix has yet shown what it is worth. Write combine = &quot;product&quot;, or ranks_by = &quot;site&quot;.</source>
        <translation>{path}: Beim Stapeln beginnt jede Runde mit einem frischen Adapter, in dem noch keine Matrix gezeigt hat, was sie wert ist. Schreiben Sie combine = &quot;product&quot; oder ranks_by = &quot;site&quot;.</translation>
    </message>
    <message>
        <source>{path}: a stack holds each site&apos;s own factors side by side, which a sum does not show. Write combine = &quot;factors&quot; with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: Ein Stapel hält die Faktoren jedes einzelnen Standorts nebeneinander, die eine Summe nicht zeigt. Schreiben Sie combine = &quot;factors&quot; mit fed_medlora, fedavg oder fedrot, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a trimmed mean needs sites that train one factor and have the other in common, else a single value means something different at each. Choose the method ffa or rolora, or write screening.robust = &quot;multi_krum&quot; or screening.action = &quot;clip&quot;.</source>
        <translation>{path}: Ein getrimmtes Mittel braucht Standorte, die einen Faktor trainieren und den anderen gemeinsam haben, sonst bedeutet ein einzelner Wert bei jedem etwas anderes. Wählen Sie die Methode ffa oder rolora, oder schreiben Sie screening.robust = &quot;multi_krum&quot; oder screening.action = &quot;clip&quot;.</translation>
    </message>
    <message>
        <source>{path}: adaptive_fedlora gives each site a rank by what its own update did, which a sum does not show. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: adaptive_fedlora gibt jedem Standort einen Rang danach, was sein eigener Beitrag bewirkt hat, und das zeigt eine Summe nicht. Wählen Sie fed_medlora, fedavg oder fedrot, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: entry {entry} {reason}. Keep the file as it is, and compare it with a backup and with the other side&apos;s audit file.</source>
        <translation>{path}: Eintrag {entry}: {reason}. Behalten Sie die Datei, wie sie ist, und vergleichen Sie sie mit einer Sicherung und mit der Audit-Datei der anderen Seite.</translation>
    </message>
    <message>
        <source>{path}: fedavgm and fedadam keep means of how A and B have changed, and a product or a stack replaces A and B with others in each round. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: fedavgm und fedadam führen Mittel darüber, wie sich A und B geändert haben, und ein Produkt oder Stapel ersetzt A und B in jeder Runde durch andere. Schreiben Sie combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: fedex adds what averaging the factors misses, and that is made of the single updates. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: fedex fügt hinzu, was beim Mitteln der Faktoren fehlt, und das entsteht aus den einzelnen Beiträgen. Wählen Sie fed_medlora, fedavg oder fedrot, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: fedex averages the factors and adds the part that this misses; a product or a stack misses nothing. Write combine = &quot;factors&quot;, or choose flexlora or flora.</source>
        <translation>{path}: fedex mittelt die Faktoren und fügt den Teil hinzu, der dabei fehlt; bei einem Produkt oder Stapel fehlt nichts. Schreiben Sie combine = &quot;factors&quot;, oder wählen Sie flexlora oder flora.</translation>
    </message>
    <message>
        <source>{path}: fednova continues from where the round started, but a stack starts afresh in each round. Write combine = &quot;factors&quot; or &quot;product&quot;.</source>
        <translation>{path}: fednova geht von dort weiter, wo die Runde begann, ein Stapel beginnt aber in jeder Runde neu. Schreiben Sie combine = &quot;factors&quot; oder &quot;product&quot;.</translation>
    </message>
    <message>
        <source>{path}: fednova weighs an update by the steps of all sites, which are known only when all updates are there; a site masks its own before that. Choose fed_medlora or fedavg with training.epochs, or take out [secure_aggregation].</source>
        <translation>{path}: fednova gewichtet einen Beitrag nach den Schritten aller Standorte, die erst bekannt sind, wenn alle Beiträge da sind; ein Standort maskiert seinen aber vorher. Wählen Sie fed_medlora oder fedavg mit training.epochs, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: fedopal with on = &quot;outputs&quot; ties the notes of a step together, so that one note&apos;s share cannot be limited. Write on = &quot;weights&quot;, or take out [training.privacy].</source>
        <translation>{path}: fedopal mit on = &quot;outputs&quot; verknüpft die Texte eines Schritts miteinander, sodass sich der Anteil eines Textes nicht begrenzen lässt. Schreiben Sie on = &quot;weights&quot;, oder streichen Sie [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: fedrot rotates the factors without changing their product, so it only makes a difference when factors are averaged. Write combine = &quot;factors&quot;, or choose fedavg.</source>
        <translation>{path}: fedrot dreht die Faktoren, ohne ihr Produkt zu ändern, macht also nur dann einen Unterschied, wenn Faktoren gemittelt werden. Schreiben Sie combine = &quot;factors&quot;, oder wählen Sie fedavg.</translation>
    </message>
    <message>
        <source>{path}: fedsa keeps B at the sites, so there is no product to combine or stack. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: fedsa behält B an den Standorten, deshalb gibt es kein Produkt, das zusammengeführt oder gestapelt werden könnte. Schreiben Sie combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: ffa keeps one A for the whole federation, which makes averaging exact; a product or a stack would replace A. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: ffa behält ein einziges A für die ganze Föderation, was das Mitteln exakt macht; ein Produkt oder Stapel würde A ersetzen. Schreiben Sie combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: flexlora averages products. Write combine = &quot;product&quot;, or choose fedavg.</source>
        <translation>{path}: flexlora mittelt Produkte. Schreiben Sie combine = &quot;product&quot;, oder wählen Sie fedavg.</translation>
    </message>
    <message>
        <source>{path}: flora stacks the updates. Write combine = &quot;stack&quot;, or choose fedavg.</source>
        <translation>{path}: flora stapelt die Beiträge. Schreiben Sie combine = &quot;stack&quot;, oder wählen Sie fedavg.</translation>
    </message>
    <message>
        <source>{path}: from the sum of two updates, each of the two sites can work out the other&apos;s. Write round.quorum = 3 or more, or take out [secure_aggregation].</source>
        <translation>{path}: Aus der Summe zweier Beiträge kann jeder der beiden Standorte den des anderen errechnen. Schreiben Sie round.quorum = 3 oder mehr, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: in adaptive_fedlora sites have different ranks and each starts from a matrix cut to its rank in its own basis, so averaging the factors would mix values that do not belong together. Write combine = &quot;product&quot; or &quot;stack&quot;.</source>
        <translation>{path}: Bei adaptive_fedlora haben die Standorte verschiedene Ränge, und jeder beginnt mit einer Matrix, die in ihrer eigenen Basis auf seinen Rang gekürzt ist; die Faktoren zu mitteln würde Werte mischen, die nicht zusammengehören. Schreiben Sie combine = &quot;product&quot; oder &quot;stack&quot;.</translation>
    </message>
    <message>
        <source>{path}: in fedsa half of each model stays at its site, so the size and the direction of its update cannot be known. Take out [screening], or choose another method.</source>
        <translation>{path}: Bei fedsa bleibt die Hälfte jedes Modells an ihrem Standort, deshalb lassen sich Größe und Richtung seines Beitrags nicht bestimmen. Streichen Sie [screening], oder wählen Sie eine andere Methode.</translation>
    </message>
    <message>
        <source>{path}: in the lab the coordinator has no notes of its own. Write measured_by = &quot;sites&quot;; the experiment&apos;s shared notes are then used.</source>
        <translation>{path}: Im Labor hat der Koordinator keine eigenen Texte. Schreiben Sie measured_by = &quot;sites&quot;; dann werden die gemeinsamen Texte des Experiments verwendet.</translation>
    </message>
    <message>
        <source>{path}: masks fill all bits of each number, so masked updates cannot be rounded. Take out [transfer], or [secure_aggregation].</source>
        <translation>{path}: Masken füllen alle Bits jeder Zahl, deshalb lassen sich maskierte Beiträge nicht runden. Streichen Sie [transfer] oder [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: most likely nothing would be learned. With {sites} sites and {values} values, the noise that hides a whole site would be, in each round, about {times} times as large as the sites&apos; mean update can be. Protect single notes or patients instead ([training.privacy]), or use many more sites, a smaller rank, the method ffa, or a larger epsilon. To try it anyway, write accept_noise = true under [client_privacy].</source>
        <translation>{path}: Bei {sites} Standorten und {values} Werten wäre das Rauschen, das einen ganzen Standort verbirgt, in jeder Runde etwa {times}-mal so groß, wie das Mittel ihrer Beiträge sein kann: Wahrscheinlich würde nichts gelernt. Schützen Sie stattdessen einzelne Texte oder Patienten ([training.privacy]), oder nehmen Sie viel mehr Standorte, einen kleineren Rang, die Methode ffa oder ein größeres Epsilon. Um es trotzdem zu versuchen, schreiben Sie accept_noise = true unter [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: noise can hide a whole site only in a plain mean of what each site sends once a round. Choose fedavg, fed_medlora, fedprox, fedavgm, fedadam, fedrot, ffa, rolora, fedsa, sa_fedlora or fedopal with combine = &quot;factors&quot;, or take out [client_privacy].</source>
        <translation>{path}: Rauschen kann einen ganzen Standort nur in einem einfachen Mittel dessen verbergen, was jeder Standort einmal je Runde sendet. Wählen Sie fedavg, fed_medlora, fedprox, fedavgm, fedadam, fedrot, ffa, rolora, fedsa, sa_fedlora oder fedopal mit combine = &quot;factors&quot;, oder streichen Sie [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: rolora freezes one factor in each round, which makes averaging exact; a product or a stack would change both factors. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: rolora friert in jeder Runde einen Faktor ein, was das Mitteln exakt macht; ein Produkt oder Stapel würde beide Faktoren ändern. Schreiben Sie combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: rolora trains each factor in every other round while the other one changes, so kept moments would be those of factors that no longer exist. Take out training.keep_moments, or choose ffa.</source>
        <translation>{path}: rolora trainiert jeden Faktor in jeder zweiten Runde, und inzwischen ändert sich der andere; die Momente des Optimierers gehörten also zu Faktoren, die es nicht mehr gibt. Streichen Sie training.keep_moments, oder wählen Sie ffa.</translation>
    </message>
    <message>
        <source>{path}: scaffold sends a mean of gradients to which no noise was added. Choose another method, or take out [training.privacy].</source>
        <translation>{path}: scaffold sendet ein Mittel von Gradienten, zu denen kein Rauschen addiert wurde. Wählen Sie eine andere Methode, oder streichen Sie [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: scaffold with form = &quot;sgd&quot; computes gradients from the steps, which only works with SGD. Write form = &quot;gradient&quot;, or training.optimizer = &quot;sgd&quot;.</source>
        <translation>{path}: scaffold mit form = &quot;sgd&quot; berechnet Gradienten aus den Schritten, was nur mit SGD geht. Schreiben Sie form = &quot;gradient&quot;, oder training.optimizer = &quot;sgd&quot;.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates and the coordinator&apos;s must change by exactly the same numbers, so its updates are sent in float32 only. Take out [transfer], or choose another method.</source>
        <translation>{path}: Bei scaffold müssen sich die Kontrollvariaten der Standorte und die des Koordinators um genau dieselben Zahlen ändern, deshalb werden die Beiträge nur in float32 gesendet. Streichen Sie [transfer], oder wählen Sie eine andere Methode.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates are directions of A and B, which a product or a stack replaces with others. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: Die Kontrollvariaten von scaffold sind Richtungen von A und B, die ein Produkt oder Stapel durch andere ersetzt. Schreiben Sie combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates come with the updates and would no longer fit the sites if an update were shortened or left out. Write screening.action = &quot;tell&quot; and screening.robust = &quot;mean&quot;, or choose another method.</source>
        <translation>{path}: Die Kontrollvariaten von scaffold kommen mit den Beiträgen und würden nicht mehr zu den Standorten passen, wenn ein Beitrag gekürzt oder ausgelassen würde. Schreiben Sie screening.action = &quot;tell&quot; und screening.robust = &quot;mean&quot;, oder wählen Sie eine andere Methode.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s sites send a second adapter beside the first, the change of a control variate, for which there is no mask. Choose fedprox or fedavg, or take out [secure_aggregation].</source>
        <translation>{path}: Bei scaffold senden die Standorte neben dem ersten einen zweiten Adapter, die Änderung einer Kontrollvariate, für den es keine Maske gibt. Wählen Sie fedprox oder fedavg, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: screening compares single updates, and with secure aggregation there are none to compare. Take out [screening], or [secure_aggregation].</source>
        <translation>{path}: screening vergleicht einzelne Beiträge, und bei sicherer Aggregation gibt es keine zu vergleichen. Streichen Sie [screening] oder [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: screening judges each update by the others, so one site could affect more of the result than its own part. Take out [screening], or [client_privacy].</source>
        <translation>{path}: screening beurteilt jeden Beitrag nach den anderen; ein Standort könnte deshalb mehr am Ergebnis beeinflussen als seinen eigenen Teil. Streichen Sie [screening] oder [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: sites add shares of the noise only where masks hide each share. Write added_by = &quot;coordinator&quot; under [client_privacy], or switch [secure_aggregation] on.</source>
        <translation>{path}: Standorte addieren Anteile des Rauschens nur dort, wo Masken jeden Anteil verbergen. Schreiben Sie added_by = &quot;coordinator&quot; unter [client_privacy], oder schalten Sie [secure_aggregation] ein.</translation>
    </message>
    <message>
        <source>{path}: sites scale their updates by the largest weight that any of them can have. Write secure_aggregation.largest_weight: the most training notes of a site, or with fed_medlora the most supervised tokens, with some margin.</source>
        <translation>{path}: Die Standorte skalieren ihre Beiträge mit dem größten Gewicht, das einer von ihnen haben kann. Schreiben Sie secure_aggregation.largest_weight: die meisten Trainingstexte eines Standorts, oder bei fed_medlora die meisten überwachten Tokens, mit etwas Reserve.</translation>
    </message>
    <message>
        <source>{path}: the adapter is protected, but a histogram of the training notes would leave beside it as exact counts. Write histogram = &quot;none&quot; (in a federation under [share]), or take out [training.privacy].</source>
        <translation>{path}: Der Adapter ist geschützt, aber ein Histogramm der Trainingstexte ginge daneben als exakte Anzahlen hinaus. Schreiben Sie histogram = &quot;none&quot; (in einer Föderation unter [share]), oder streichen Sie [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: the adapter is protected, but how important each matrix is would leave beside it, from gradients without noise. Write ranks_by = &quot;site&quot;, or take out [training.privacy].</source>
        <translation>{path}: Der Adapter ist geschützt, aber wie wichtig jede Matrix ist, ginge daneben hinaus, aus Gradienten ohne Rauschen. Schreiben Sie ranks_by = &quot;site&quot;, oder streichen Sie [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: the coordinator would have to read each update to score it. Write method.measured_by = &quot;sites&quot;, or take out [secure_aggregation].</source>
        <translation>{path}: Der Koordinator müsste jeden Beitrag lesen, um ihn zu bewerten. Schreiben Sie method.measured_by = &quot;sites&quot;, oder streichen Sie [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: the noise hides a whole site in the adapter, but a histogram of its training notes would leave beside it as exact counts. Write histogram = &quot;none&quot; (in a federation under [share]), or take out [client_privacy].</source>
        <translation>{path}: Das Rauschen verbirgt im Adapter den ganzen Standort, aber ein Histogramm seiner Trainingstexte ginge daneben als exakte Anzahlen hinaus. Schreiben Sie histogram = &quot;none&quot; (in einer Föderation unter [share]), oder streichen Sie [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on notes that everyone may read. Set shared_notes to 1 or more.</source>
        <translation>{path}: Diese Methode gewichtet Standorte nach ihren Ergebnissen auf Texten, die alle lesen dürfen. Setzen Sie shared_notes auf 1 oder mehr.</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on shared notes, which hold texts and entities, and none of the tasks is learned from these. Choose another method, or add the task &quot;entities&quot;.</source>
        <translation>{path}: Diese Methode gewichtet Standorte nach ihren Ergebnissen auf gemeinsamen Texten, die Wortlaut und Entitäten enthalten, und keine der Aufgaben wird daraus gelernt. Wählen Sie eine andere Methode, oder nehmen Sie die Aufgabe &quot;entities&quot; hinzu.</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by what their notes are about. Write share.histogram = &quot;specialties&quot; (or &quot;types&quot;), or set its semantic weight to 0.</source>
        <translation>{path}: Diese Methode gewichtet Standorte danach, wovon ihre Texte handeln. Schreiben Sie share.histogram = &quot;specialties&quot; (oder &quot;types&quot;), oder setzen Sie ihr semantisches Gewicht auf 0.</translation>
    </message>
    <message>
        <source>{path}: where ranks follow importance, a site&apos;s matrices have ranks of their own, and the common adapter is not cut to these before it is fetched. Take out transfer.cut, or write ranks_by = &quot;site&quot;.</source>
        <translation>{path}: Wo Ränge der Wichtigkeit folgen, hat jede Matrix eines Standorts ihren eigenen Rang, und der gemeinsame Adapter wird nicht vor dem Abholen darauf gekürzt. Streichen Sie transfer.cut, oder schreiben Sie ranks_by = &quot;site&quot;.</translation>
    </message>
    <message>
        <source>{path}: where whole sites are hidden every site counts the same, and fed_medlora_plus weighs them by their losses. Choose fed_medlora, or take out [client_privacy].</source>
        <translation>{path}: Wo ganze Standorte verborgen sind, zählt jeder Standort gleich, und fed_medlora_plus gewichtet sie nach ihren Verlusten. Wählen Sie fed_medlora, oder streichen Sie [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: with combine = &quot;stack&quot; each round starts afresh, so what rounding took from one update cannot be added to the next. Write transfer.feedback = false.</source>
        <translation>{path}: Mit combine = &quot;stack&quot; beginnt jede Runde neu; was das Runden von einem Beitrag weggenommen hat, lässt sich deshalb nicht zum nächsten addieren. Schreiben Sie transfer.feedback = false.</translation>
    </message>
    <message>
        <source>{path}: with fedex, and where updates are stacked, most of what sites download is a frozen part beside the common adapter, and that is always sent in float32. Take out transfer.down, or choose another method.</source>
        <translation>{path}: Bei fedex, und wo Beiträge gestapelt werden, ist das meiste, was die Standorte herunterladen, ein eingefrorener Teil neben dem gemeinsamen Adapter, und der wird immer in float32 gesendet. Streichen Sie transfer.down, oder wählen Sie eine andere Methode.</translation>
    </message>
    <message>
        <source>{path}: with fedrot each site turns its factors before they leave, so the optimiser&apos;s moments of one round would not fit the factors of the next. Take out training.keep_moments, or choose fedavg.</source>
        <translation>{path}: Bei fedrot dreht jeder Standort seine Faktoren, bevor sie hinausgehen; die Momente des Optimierers aus einer Runde würden also nicht zu den Faktoren der nächsten passen. Streichen Sie training.keep_moments, oder wählen Sie fedavg.</translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on notes that everyone may read. Add [[shared_notes]], or write measured_by = &quot;coordinator&quot; and start it with --score-with.</source>
        <translation>{path}: Mit measured_by = &quot;sites&quot; misst jeder Standort sein Modell auf Texten, die alle lesen dürfen. Ergänzen Sie [[shared_notes]], oder schreiben Sie measured_by = &quot;coordinator&quot; und starten Sie ihn mit --score-with.</translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on shared notes, which hold texts and entities, and none of the tasks is learned from these. Write measured_by = &quot;coordinator&quot; and start it with --score-with, choose another method, or add the task &quot;entities&quot;.</source>
        <translation>{path}: Mit measured_by = &quot;sites&quot; misst jeder Standort sein Modell auf gemeinsamen Texten, die Wortlaut und Entitäten enthalten, und keine der Aufgaben wird daraus gelernt. Schreiben Sie measured_by = &quot;coordinator&quot; und starten Sie ihn mit --score-with, wählen Sie eine andere Methode, oder nehmen Sie die Aufgabe &quot;entities&quot; hinzu.</translation>
    </message>
    <message>
        <source>{path}: with secure aggregation all sites take part in every round, since they mask together. Take out round.clients.</source>
        <translation>{path}: Bei sicherer Aggregation nehmen alle Standorte an jeder Runde teil, weil sie gemeinsam maskieren. Streichen Sie round.clients.</translation>
    </message>
    <message>
        <source>{path}: with training.keep_moments the optimiser continues with the moments of the last round, but a product or a stack gives each round factors of another basis. Write combine = &quot;factors&quot;, or take out training.keep_moments.</source>
        <translation>{path}: Mit training.keep_moments macht der Optimierer mit den Momenten der letzten Runde weiter, ein Produkt oder Stapel gibt aber jeder Runde Faktoren einer anderen Basis. Schreiben Sie combine = &quot;factors&quot;, oder streichen Sie training.keep_moments.</translation>
    </message>
    <message>
        <source>{path}: {key}: {reason}. Correct this key and start again.</source>
        <translation>{path}: {key}: {reason}. Korrigieren Sie diesen Schlüssel, und starten Sie neu.</translation>
    </message>
    <message>
        <source>{path}: {method} gives all sites the same rank, and rank {rank} is over the smallest cap, {cap}. Write rank = &quot;smallest_cap&quot; for this method, or raise hardware.caps.</source>
        <translation>{path}: {method} gibt allen Standorten denselben Rang, und Rang {rank} liegt über der kleinsten Grenze, {cap}. Schreiben Sie rank = &quot;smallest_cap&quot; für diese Methode, oder erhöhen Sie hardware.caps.</translation>
    </message>
    <message>
        <source>{share} % of the update&apos;s values were left out, as the largest or the smallest at their position; with honest sites it is about the same for all.</source>
        <translation>Von den Werten des Beitrags wurden {share}&#xa0;% ausgelassen, als die größten oder kleinsten an ihrer Stelle; bei ehrlichen Standorten ist es für alle etwa gleich viel.</translation>
    </message>
    <message>
        <source>{site} could be any of these: {names}. Give the exact name, or more of the fingerprint.</source>
        <translation>{site} könnte jeder von diesen sein: {names}. Geben Sie den genauen Namen an, oder mehr vom Fingerabdruck.</translation>
    </message>
    <message>
        <source>{site} has been in this federation in another role. Choose another name.</source>
        <translation>{site} war in dieser Föderation schon in einer anderen Rolle. Wählen Sie einen anderen Namen.</translation>
    </message>
    <message>
        <source>{site} has been revoked. To let it in again, use --invite with this name.</source>
        <translation>{site} wurde gesperrt. Um ihn wieder zuzulassen, verwenden Sie --invite mit diesem Namen.</translation>
    </message>
    <message>
        <source>{site} has joined already. If it needs a new key (another computer, a lost data folder), use --rotate; to shut it out, --revoke.</source>
        <translation>{site} ist schon beigetreten. Wenn er einen neuen Schlüssel braucht (ein anderer Rechner, ein verlorener Datenordner), verwenden Sie --rotate; um ihn auszuschließen, --revoke.</translation>
    </message>
    <message>
        <source>{site} has no {split} notes left ({sites} sites, seed {seed}). Ask for fewer sites or more notes, raise split.validation_share, lower split.ratio, or split by something else.</source>
        <translation>{site} hat keine Texte für „{split}“ mehr ({sites} Standorte, Seed {seed}). Verlangen Sie weniger Standorte oder mehr Texte, erhöhen Sie split.validation_share, senken Sie split.ratio, oder teilen Sie nach etwas anderem auf.</translation>
    </message>
    <message>
        <source>{site} has not used its invitation yet. Do this once it has joined; --sites shows when.</source>
        <translation>{site} hat die Einladung noch nicht benutzt. Tun Sie das, sobald der Standort beigetreten ist; --sites zeigt es an.</translation>
    </message>
    <message>
        <source>{site} is a host of this federation, not a site. To take part as a site, join with another data folder and a site&apos;s invitation.</source>
        <translation>{site} ist Betreiber dieser Föderation, und ein Betreiber ist kein Standort. Treten Sie mit einem anderen Datenordner und der Einladung eines Standorts bei.</translation>
    </message>
    <message>
        <source>{site} is a host. Hosts are invited and removed at the coordinator, with --invite-host and --revoke.</source>
        <translation>{site} ist ein Betreiber. Betreiber werden beim Koordinator eingeladen und entfernt, mit --invite-host und --revoke.</translation>
    </message>
    <message>
        <source>{site} is connected right now, so its file is not used. Let it send its update over the connection.</source>
        <translation>{site} ist gerade verbunden, deshalb wird seine Datei nicht verwendet. Lassen Sie ihn seinen Beitrag über die Verbindung senden.</translation>
    </message>
    <message>
        <source>{site} is not a host of this federation. Ask for a host&apos;s invitation at the coordinator.</source>
        <translation>{site} ist kein Betreiber dieser Föderation. Bitten Sie beim Koordinator um die Einladung eines Betreibers.</translation>
    </message>
    <message>
        <source>{site} looks like {other}, which is a name in this federation already. Choose another name.</source>
        <translation>{site} sieht aus wie {other}, ein Name, den es in dieser Föderation schon gibt. Wählen Sie einen anderen Namen.</translation>
    </message>
    <message>
        <source>{site} now has a different key from the one whose words you compared. Compare the six words again.</source>
        <translation>{site} ist mit einem anderen Schlüssel gekommen als dem, dessen Wörter Sie verglichen haben. Vergleichen Sie die sechs Wörter noch einmal.</translation>
    </message>
    <message>
        <source>{site} was not among the sites that began together, or has another key now. With secure aggregation the sites stay the same throughout. Nothing was sent in this round; ask whoever hosts the federation.</source>
        <translation>{site} war nicht unter den Standorten, die zusammen begonnen haben, oder hat jetzt einen anderen Schlüssel. Bei sicherer Aggregation bleiben die Standorte durchgehend dieselben. In dieser Runde wurde nichts gesendet; fragen Sie den Betreiber der Föderation.</translation>
    </message>
    <message>
        <source>{total}, of which {free} is free.</source>
        <translation>{total}, davon {free} frei.</translation>
    </message>
</context>
</TS>
