<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="fr">
<context>
    <name></name>
    <message>
        <source> and </source>
        <translation> et </translation>
    </message>
    <message>
        <source> or </source>
        <translation> ou </translation>
    </message>
    <message numerus="yes">
        <source>%n are not asked</source>
        <translation>
            <numerusform>%n n’est pas sollicité</numerusform>
            <numerusform>%n ne sont pas sollicités</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are offline</source>
        <translation>
            <numerusform>%n est hors ligne</numerusform>
            <numerusform>%n sont hors ligne</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are sending</source>
        <translation>
            <numerusform>%n envoie</numerusform>
            <numerusform>%n envoient</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are training</source>
        <translation>
            <numerusform>%n s’entraîne</numerusform>
            <numerusform>%n s’entraînent</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n byte(s)</source>
        <translation>
            <numerusform>%n octet</numerusform>
            <numerusform>%n octets</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n code(s) would be chosen, in bold.</source>
        <translation>
            <numerusform>%n code serait retenu, en gras.</numerusform>
            <numerusform>%n codes seraient retenus, en gras.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n core(s)</source>
        <translation>
            <numerusform>%n cœur</numerusform>
            <numerusform>%n cœurs</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found before you stopped it.</source>
        <translation>
            <numerusform>%n entité trouvée avant l’arrêt.</numerusform>
            <numerusform>%n entités trouvées avant l’arrêt.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found so far.</source>
        <translation>
            <numerusform>%n entité trouvée jusqu’ici.</numerusform>
            <numerusform>%n entités trouvées jusqu’ici.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found.</source>
        <translation>
            <numerusform>%n entité trouvée.</numerusform>
            <numerusform>%n entités trouvées.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities: {list}</source>
        <translation>
            <numerusform>%n entité&#xa0;: {list}</numerusform>
            <numerusform>%n entités&#xa0;: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s)</source>
        <translation>
            <numerusform>%n entrée</numerusform>
            <numerusform>%n entrées</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s) since then.</source>
        <translation>
            <numerusform>%n entrée depuis.</numerusform>
            <numerusform>%n entrées depuis.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s); the last one&apos;s hash is {head}.</source>
        <translation>
            <numerusform>%n entrée&#xa0;; l’empreinte de la dernière est {head}.</numerusform>
            <numerusform>%n entrées&#xa0;; l’empreinte de la dernière est {head}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n example note(s)</source>
        <translation>
            <numerusform>%n note d’exemple</numerusform>
            <numerusform>%n notes d’exemple</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have paused</source>
        <translation>
            <numerusform>%n est en pause</numerusform>
            <numerusform>%n sont en pause</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have sent</source>
        <translation>
            <numerusform>%n a envoyé</numerusform>
            <numerusform>%n ont envoyé</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n keep their adapters</source>
        <translation>
            <numerusform>%n garde son adaptateur</numerusform>
            <numerusform>%n gardent leurs adaptateurs</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n kind(s)</source>
        <translation>
            <numerusform>%n sorte</numerusform>
            <numerusform>%n sortes</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n matrices</source>
        <translation>
            <numerusform>%n matrice</numerusform>
            <numerusform>%n matrices</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n method(s)</source>
        <translation>
            <numerusform>%n méthode</numerusform>
            <numerusform>%n méthodes</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s) linked.</source>
        <translation>
            <numerusform>%n modificateur relié.</numerusform>
            <numerusform>%n modificateurs reliés.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s): {list}</source>
        <translation>
            <numerusform>%n modificateur&#xa0;: {list}</numerusform>
            <numerusform>%n modificateurs&#xa0;: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n module(s)</source>
        <translation>
            <numerusform>%n module</numerusform>
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
            <numerusform>%n note est lue en parties qui se chevauchent, {windows} en tout&#xa0;; rien n’est omis.</numerusform>
            <numerusform>%n notes sont lues en parties qui se chevauchent, {windows} en tout&#xa0;; rien n’est omis.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read whole.</source>
        <translation>
            <numerusform>%n note est lue en entier.</numerusform>
            <numerusform>%n notes sont lues en entier.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) stay too long for {most} tokens in some part.</source>
        <translation>
            <numerusform>%n note reste trop longue pour {most} tokens dans l’une de ses parties.</numerusform>
            <numerusform>%n notes restent trop longues pour {most} tokens dans l’une de leurs parties.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) that all sites may read.</source>
        <translation>
            <numerusform>%n note que tous les sites peuvent lire.</numerusform>
            <numerusform>%n notes que tous les sites peuvent lire.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) to train on, {validation:,} to score rounds with, {test}.</source>
        <translation>
            <numerusform>%n note pour l’entraînement, {validation:,} pour évaluer les tours, {test}.</numerusform>
            <numerusform>%n notes pour l’entraînement, {validation:,} pour évaluer les tours, {test}.</numerusform>
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
            <numerusform>%n de vos effectifs est inférieur à {few}&#xa0;: un type de note rare peut désigner des patients précis.</numerusform>
            <numerusform>%n de vos effectifs sont inférieurs à {few}&#xa0;: un type de note rare peut désigner des patients précis.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, kept aside</source>
        <translation>
            <numerusform>%n de vos notes, mise de côté</numerusform>
            <numerusform>%n de vos notes, mises de côté</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, never used for training</source>
        <translation>
            <numerusform>%n de vos notes qu’aucun entraînement n’a vue</numerusform>
            <numerusform>%n de vos notes qu’aucun entraînement n’a vues</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of {all} entries match(es).</source>
        <translation>
            <numerusform>%n entrée sur {all} correspond.</numerusform>
            <numerusform>%n entrées sur {all} correspondent.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n other(s)</source>
        <translation>
            <numerusform>%n autre</numerusform>
            <numerusform>%n autres</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n page(s) found</source>
        <translation>
            <numerusform>%n page trouvée</numerusform>
            <numerusform>%n pages trouvées</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n row(s) cannot be used.</source>
        <translation>
            <numerusform>%n ligne est inutilisable.</numerusform>
            <numerusform>%n lignes sont inutilisables.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n seed(s)</source>
        <translation>
            <numerusform>%n graine</numerusform>
            <numerusform>%n graines</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n sent nothing</source>
        <translation>
            <numerusform>%n n’a rien envoyé</numerusform>
            <numerusform>%n n’ont rien envoyé</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected</source>
        <translation>
            <numerusform>%n site connecté</numerusform>
            <numerusform>%n sites connectés</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected.</source>
        <translation>
            <numerusform>%n site connecté.</numerusform>
            <numerusform>%n sites connectés.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) have made no progress for {time}.</source>
        <translation>
            <numerusform>%n site n’a pas progressé depuis {time}.</numerusform>
            <numerusform>%n sites n’ont pas progressé depuis {time}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) take part</source>
        <translation>
            <numerusform>%n site participe</numerusform>
            <numerusform>%n sites participent</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) that have not sent are not waited for; their work in this round is not used.</source>
        <translation>
            <numerusform>%n site qui n’a pas envoyé n’est plus attendu&#xa0;; son travail de ce tour n’est pas utilisé.</numerusform>
            <numerusform>%n sites qui n’ont pas envoyé ne sont plus attendus&#xa0;; leur travail de ce tour n’est pas utilisé.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) wait until you have compared six words and confirmed them.</source>
        <translation>
            <numerusform>%n site attend que vous ayez comparé six mots et l’ayez confirmé.</numerusform>
            <numerusform>%n sites attendent que vous ayez comparé six mots et les ayez confirmés.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n specialties</source>
        <translation>
            <numerusform>%n spécialité</numerusform>
            <numerusform>%n spécialités</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thing(s) must be put right.</source>
        <translation>
            <numerusform>%n point est à corriger.</numerusform>
            <numerusform>%n points sont à corriger.</numerusform>
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
            <numerusform>%n type mis en correspondance.</numerusform>
            <numerusform>%n types mis en correspondance.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait</source>
        <translation>
            <numerusform>%n attend</numerusform>
            <numerusform>%n attendent</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait for approval</source>
        <translation>
            <numerusform>%n attend une approbation</numerusform>
            <numerusform>%n attendent une approbation</numerusform>
        </translation>
    </message>
    <message>
        <source>*alone*: each site trains by itself, and is scored in the same way</source>
        <translation>*alone*&#xa0;: chaque site s’entraîne seul et est évalué de la même façon</translation>
    </message>
    <message>
        <source>*base*: the model before any training</source>
        <translation>*base*&#xa0;: le modèle avant tout entraînement</translation>
    </message>
    <message>
        <source>*centralised*: one training on the notes of all sites in one place, which no federation may do</source>
        <translation>*centralised*&#xa0;: un seul entraînement sur les notes de tous les sites réunies en un même lieu, ce qu’aucune fédération ne peut faire</translation>
    </message>
    <message>
        <source>*encoder*: token classification instead of generated text ({model}). Its loss is of tags and cannot be compared. Of FedAvg all trained weights travel, in 32 bits.</source>
        <translation>*encoder*&#xa0;: classification de tokens au lieu de texte généré ({model}). Sa perte porte sur des étiquettes et ne peut pas être comparée. Pour FedAvg, tous les poids entraînés circulent, en 32 bits.</translation>
    </message>
    <message>
        <source>, {share} of the full model</source>
        <translation>, soit {share} du modèle complet</translation>
    </message>
    <message>
        <source>1 day</source>
        <translation>1 jour</translation>
    </message>
    <message>
        <source>30 days</source>
        <translation>30 jours</translation>
    </message>
    <message>
        <source>7 days</source>
        <translation>7 jours</translation>
    </message>
    <message>
        <source>95 % interval</source>
        <translation>Intervalle à 95&#xa0;%</translation>
    </message>
    <message>
        <source>A decision waits for me</source>
        <translation>Une décision m’attend</translation>
    </message>
    <message>
        <source>A decision waits for you</source>
        <translation>Une décision vous attend</translation>
    </message>
    <message>
        <source>A decision waits for you, and time runs out</source>
        <translation>Une décision vous attend, et le temps presse</translation>
    </message>
    <message>
        <source>A higher one can learn more, and takes longer to send.</source>
        <translation>Un rang plus élevé peut apprendre plus, et l’envoi dure plus longtemps.</translation>
    </message>
    <message>
        <source>A long passage of your notes came out word for word that did not before this round.</source>
        <translation>Un long passage de vos notes est ressorti mot pour mot, ce qui n’était pas le cas avant ce tour.</translation>
    </message>
    <message>
        <source>A model is being fitted to the notes; the note is read when that is done.</source>
        <translation>Un modèle est en cours d’ajustement sur les notes ; la note sera lue ensuite.</translation>
    </message>
    <message numerus="yes">
        <source>A model of {amount} with %n layer(s) to adapt.</source>
        <translation>
            <numerusform>Un modèle de {amount} avec %n couche à adapter.</numerusform>
            <numerusform>Un modèle de {amount} avec %n couches à adapter.</numerusform>
        </translation>
    </message>
    <message>
        <source>A name or an address without a port, such as federation.example.org or 10.0.0.12.</source>
        <translation>Un nom ou une adresse sans port, par exemple federation.example.org ou 10.0.0.12.</translation>
    </message>
    <message>
        <source>A number above 0, up to {most}.</source>
        <translation>Un nombre supérieur à 0, au plus {most}.</translation>
    </message>
    <message>
        <source>A number of hours, such as 4, or 0.5 for half an hour.</source>
        <translation>Un nombre d’heures, par exemple 4, ou 0,5 pour une demi-heure.</translation>
    </message>
    <message>
        <source>A number, such as 1, or 0.5 for half of the notes.</source>
        <translation>Un nombre, par exemple 1, ou 0,5 pour la moitié des notes.</translation>
    </message>
    <message>
        <source>A passage of your notes came out word for word that did not before this round.</source>
        <translation>Un passage de vos notes est ressorti mot pour mot, ce qui n’était pas le cas avant ce tour.</translation>
    </message>
    <message>
        <source>A person at this site</source>
        <translation>Une personne de ce site</translation>
    </message>
    <message>
        <source>A round closes once all sites have answered, or when it need not wait any longer for the rest.</source>
        <translation>Un tour se clôt quand tous les sites ont répondu, ou quand il n’a plus besoin d’attendre les autres.</translation>
    </message>
    <message>
        <source>A round is finished</source>
        <translation>Un tour est terminé</translation>
    </message>
    <message>
        <source>A round may close with one site alone.</source>
        <translation>Un tour peut se clore avec un seul site.</translation>
    </message>
    <message>
        <source>A round needs updates from at least this many sites.</source>
        <translation>Un tour a besoin des mises à jour d’au moins autant de sites.</translation>
    </message>
    <message>
        <source>A rule that a person set up</source>
        <translation>Une règle définie par une personne</translation>
    </message>
    <message>
        <source>A second person must approve: ask them to write their name above.</source>
        <translation>Une deuxième personne doit approuver&#xa0;: qu’elle inscrive son nom ci-dessus.</translation>
    </message>
    <message>
        <source>A stricter file applies instead.</source>
        <translation>C’est un fichier plus strict qui s’applique.</translation>
    </message>
    <message>
        <source>A stricter one applies instead.</source>
        <translation>C’est une valeur plus stricte qui s’applique.</translation>
    </message>
    <message>
        <source>A summary in the model&apos;s words.</source>
        <translation>Un résumé rédigé par le modèle.</translation>
    </message>
    <message>
        <source>A whole number from {least} to {most:,}.</source>
        <translation>Un nombre entier de {least} à {most:,}.</translation>
    </message>
    <message>
        <source>About</source>
        <translation>Concerne</translation>
    </message>
    <message>
        <source>About and licences</source>
        <translation>À propos et licences</translation>
    </message>
    <message>
        <source>Above {little} it protects little.</source>
        <translation>Au-dessus de {little}, cela protège peu.</translation>
    </message>
    <message>
        <source>Account of the computer</source>
        <translation>Compte sur l’ordinateur</translation>
    </message>
    <message>
        <source>Act without the right to it refused</source>
        <translation>Action refusée, faute de droit</translation>
    </message>
    <message>
        <source>Acting as</source>
        <translation>En tant que</translation>
    </message>
    <message>
        <source>Adapter</source>
        <translation>Adaptateur</translation>
    </message>
    <message>
        <source>Adapter checked</source>
        <translation>Adaptateur vérifié</translation>
    </message>
    <message>
        <source>Adapter for round {round}</source>
        <translation>Adaptateur du tour {round}</translation>
    </message>
    <message>
        <source>Adapter published</source>
        <translation>Adaptateur publié</translation>
    </message>
    <message>
        <source>Adapter to begin with</source>
        <translation>Adaptateur de départ</translation>
    </message>
    <message>
        <source>Adapter {name}</source>
        <translation>Adaptateur {name}</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>Adresse</translation>
    </message>
    <message>
        <source>Address of this computer</source>
        <translation>Adresse de cet ordinateur</translation>
    </message>
    <message>
        <source>After that it can no longer be taken back.</source>
        <translation>Ensuite, l’envoi ne peut plus être annulé.</translation>
    </message>
    <message>
        <source>After that, an adapter that nobody has decided on expires.</source>
        <translation>Après quoi, un adaptateur sur lequel personne n’a décidé expire.</translation>
    </message>
    <message>
        <source>Against</source>
        <translation>Par rapport à</translation>
    </message>
    <message>
        <source>Against last round</source>
        <translation>Par rapport au tour précédent</translation>
    </message>
    <message numerus="yes">
        <source>All %n round(s) are done</source>
        <translation>
            <numerusform>%n tour terminé</numerusform>
            <numerusform>Les %n tours sont terminés</numerusform>
        </translation>
    </message>
    <message>
        <source>All but one</source>
        <translation>Tous sauf un</translation>
    </message>
    <message>
        <source>All rounds are done</source>
        <translation>Tous les tours sont terminés</translation>
    </message>
    <message>
        <source>All sites</source>
        <translation>Tous les sites</translation>
    </message>
    <message>
        <source>All tasks</source>
        <translation>Toutes les tâches</translation>
    </message>
    <message>
        <source>All types</source>
        <translation>Tous les types</translation>
    </message>
    <message>
        <source>All types F1</source>
        <translation>F1 de tous les types</translation>
    </message>
    <message>
        <source>All {all:,} marked entities count.</source>
        <translation>Les {all:,} entités annotées comptent toutes.</translation>
    </message>
    <message>
        <source>Also words of your own, separated by commas.</source>
        <translation>Vos propres mots aussi, séparés par des virgules.</translation>
    </message>
    <message>
        <source>An adapter of rank {rank}. The first round goes on from it.</source>
        <translation>Un adaptateur de rang {rank}. Le premier tour part de lui.</translation>
    </message>
    <message>
        <source>An address on this computer, where something answers.</source>
        <translation>Une adresse sur cet ordinateur, et quelque chose y répond.</translation>
    </message>
    <message>
        <source>An address on this computer.</source>
        <translation>Une adresse sur cet ordinateur.</translation>
    </message>
    <message>
        <source>An answer was longer than allowed and was cut off: some may be missing.</source>
        <translation>Une réponse dépassait la longueur permise et a été coupée&#xa0;: il peut en manquer.</translation>
    </message>
    <message>
        <source>An update has at most {most} bytes.</source>
        <translation>Une mise à jour a au plus {most} octets.</translation>
    </message>
    <message numerus="yes">
        <source>And %n more row(s).</source>
        <translation>
            <numerusform>Et %n autre ligne.</numerusform>
            <numerusform>Et %n autres lignes.</numerusform>
        </translation>
    </message>
    <message>
        <source>Annotations that are not read ({what}): {count}.</source>
        <translation>Annotations non lues ({what})&#xa0;: {count}.</translation>
    </message>
    <message>
        <source>Appearance</source>
        <translation>Apparence</translation>
    </message>
    <message>
        <source>Approval</source>
        <translation>Approbation</translation>
    </message>
    <message>
        <source>Approval of an update</source>
        <translation>Approbation d’une mise à jour</translation>
    </message>
    <message>
        <source>Approval taken back</source>
        <translation>Approbation retirée</translation>
    </message>
    <message>
        <source>Approvals</source>
        <translation>Approbations</translation>
    </message>
    <message>
        <source>Approve</source>
        <translation>Approbation</translation>
    </message>
    <message>
        <source>Approved</source>
        <translation>Approuvée</translation>
    </message>
    <message>
        <source>Approved, waiting for the coordinator</source>
        <translation>Approuvée, en attente du coordinateur</translation>
    </message>
    <message>
        <source>As agreed for the pilot</source>
        <translation>Comme convenu pour le pilote</translation>
    </message>
    <message>
        <source>As good as {earlier} after as many rounds ({rounds}): {now} of 100 found correctly</source>
        <translation>Aussi bien que {earlier} après autant de tours ({rounds})&#xa0;: {now} sur 100 trouvés correctement</translation>
    </message>
    <message>
        <source>Asked for again</source>
        <translation>Redemandée</translation>
    </message>
    <message>
        <source>Asking</source>
        <translation>Questions en cours</translation>
    </message>
    <message>
        <source>Asking the model about what was found.</source>
        <translation>Le modèle est interrogé sur ce qui a été trouvé.</translation>
    </message>
    <message>
        <source>At most 80 letters.</source>
        <translation>80 caractères au plus.</translation>
    </message>
    <message>
        <source>Audit record of {owner}</source>
        <translation>Registre d’audit de {owner}</translation>
    </message>
    <message>
        <source>Backup made</source>
        <translation>Sauvegarde effectuée</translation>
    </message>
    <message>
        <source>Base model</source>
        <translation>Modèle de base</translation>
    </message>
    <message>
        <source>Before the federation</source>
        <translation>Avant la fédération</translation>
    </message>
    <message>
        <source>Begin the round</source>
        <translation>Commencer le tour</translation>
    </message>
    <message>
        <source>Begin while a model is being fitted?</source>
        <translation>Commencer pendant l’ajustement d’un modèle ?</translation>
    </message>
    <message>
        <source>Begin without the sites that are missing?</source>
        <translation>Commencer sans les sites qui manquent&#xa0;?</translation>
    </message>
    <message>
        <source>Better on {notes}, fairly sure</source>
        <translation>Meilleur sur {notes}, résultat assez sûr</translation>
    </message>
    <message>
        <source>Better than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then</source>
        <translation>Mieux que {earlier} après autant de tours ({rounds})&#xa0;: {now} sur 100 trouvés correctement, {then} à l’époque</translation>
    </message>
    <message>
        <source>Bound to the entry before</source>
        <translation>Lien avec l’entrée précédente</translation>
    </message>
    <message>
        <source>Call them at a number that you already have, not one from an e-mail. Their page Rounds shows six words; read these out to each other:</source>
        <translation>Appelez-les à un numéro que vous avez déjà, pas à celui d’un courriel. Leur page Tours montre six mots&#xa0;; chacun les lit à l’autre&#xa0;:</translation>
    </message>
    <message>
        <source>Can join until</source>
        <translation>Peut participer jusqu’au</translation>
    </message>
    <message>
        <source>Candidates from the official ICD-10-CM table, best first. The bar compares each with the best.</source>
        <translation>Candidats tirés de la table officielle CIM-10-CM, le meilleur en premier. La barre les compare au meilleur.</translation>
    </message>
    <message>
        <source>Category in first 10</source>
        <translation>Catégorie (10 premiers)</translation>
    </message>
    <message>
        <source>Certificate</source>
        <translation>Certificat</translation>
    </message>
    <message>
        <source>Certificate made</source>
        <translation>Certificat créé</translation>
    </message>
    <message>
        <source>Change and try again</source>
        <translation>Modifier et réessayer</translation>
    </message>
    <message>
        <source>Change how to join</source>
        <translation>Modifier les données de connexion</translation>
    </message>
    <message>
        <source>Change of the model</source>
        <translation>Modification du modèle</translation>
    </message>
    <message>
        <source>Changed</source>
        <translation>Modifiée</translation>
    </message>
    <message>
        <source>Characters per note: half have up to / nine in ten up to</source>
        <translation>Caractères par note, la moitié jusqu’à / neuf sur dix jusqu’à</translation>
    </message>
    <message>
        <source>Checking…</source>
        <translation>Vérification…</translation>
    </message>
    <message>
        <source>Choose at least one.</source>
        <translation>Choisissez-en au moins une.</translation>
    </message>
    <message>
        <source>Choose one above.</source>
        <translation>Choisissez-en un ci-dessus.</translation>
    </message>
    <message>
        <source>Choose the folder to see what is in it and what needs a look. Notes are only read; nothing is copied.</source>
        <translation>Choisissez le dossier pour voir ce qu’il contient et ce qui mérite un coup d’œil. Les notes sont seulement lues&#xa0;; rien n’est copié.</translation>
    </message>
    <message>
        <source>Chosen at random in each round. Leave it empty to ask all.</source>
        <translation>Tirés au sort à chaque tour. Laissez vide pour les demander tous.</translation>
    </message>
    <message>
        <source>Clock</source>
        <translation>Horloge</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>Close before it is sent?</source>
        <translation>Fermer avant l’envoi&#xa0;?</translation>
    </message>
    <message>
        <source>Close round {round} now?</source>
        <translation>Clore le tour {round} maintenant&#xa0;?</translation>
    </message>
    <message>
        <source>Close the demonstration?</source>
        <translation>Fermer la démonstration&#xa0;?</translation>
    </message>
    <message>
        <source>Close the program</source>
        <translation>Fermer le programme</translation>
    </message>
    <message>
        <source>Close the round</source>
        <translation>Clore le tour</translation>
    </message>
    <message>
        <source>Close while a model is being fitted?</source>
        <translation>Fermer pendant l’ajustement d’un modèle ?</translation>
    </message>
    <message>
        <source>Close while training?</source>
        <translation>Fermer pendant l’entraînement&#xa0;?</translation>
    </message>
    <message>
        <source>Close while your decision is awaited?</source>
        <translation>Fermer alors que votre décision est attendue&#xa0;?</translation>
    </message>
    <message>
        <source>Closing</source>
        <translation>Fermeture</translation>
    </message>
    <message>
        <source>Code in the first 10</source>
        <translation>Code (10 premiers)</translation>
    </message>
    <message>
        <source>Codes / different codes</source>
        <translation>Codes / codes différents</translation>
    </message>
    <message>
        <source>Codes F1</source>
        <translation>F1 des codes</translation>
    </message>
    <message>
        <source>Codes near the top</source>
        <translation>Codes en tête</translation>
    </message>
    <message>
        <source>Combine</source>
        <translation>Combinaison</translation>
    </message>
    <message>
        <source>Combined drift</source>
        <translation>Dérive combinée</translation>
    </message>
    <message numerus="yes">
        <source>Combined model on notes of %n site(s) that sent, since round {round}</source>
        <translation>
            <numerusform>Modèle combiné, sur les notes du site qui a envoyé, depuis le tour {round}</numerusform>
            <numerusform>Modèle combiné, sur les notes des %n sites qui ont envoyé, depuis le tour {round}</numerusform>
        </translation>
    </message>
    <message>
        <source>Combining</source>
        <translation>Combinaison</translation>
    </message>
    <message>
        <source>Compare it with the coordinator&apos;s record now and then: only that shows whether its end was cut off.</source>
        <translation>Comparez-le de temps en temps avec le registre du coordinateur&#xa0;: c’est le seul moyen de voir si la fin a été coupée.</translation>
    </message>
    <message>
        <source>Compare six words with {site}</source>
        <translation>Comparer six mots avec {site}</translation>
    </message>
    <message>
        <source>Compare with an earlier federation</source>
        <translation>Comparer avec une fédération antérieure</translation>
    </message>
    <message>
        <source>Comparing on your validation notes…</source>
        <translation>Comparaison sur vos notes de validation…</translation>
    </message>
    <message>
        <source>Confirmation</source>
        <translation>Confirmation</translation>
    </message>
    <message>
        <source>Connected</source>
        <translation>Connecté</translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation>Connexion en cours</translation>
    </message>
    <message>
        <source>Connecting again.</source>
        <translation>Reconnexion.</translation>
    </message>
    <message>
        <source>Connecting to the coordinator at {address}.</source>
        <translation>Connexion au coordinateur à l’adresse {address}.</translation>
    </message>
    <message>
        <source>Connecting to the coordinator…</source>
        <translation>Connexion au coordinateur…</translation>
    </message>
    <message>
        <source>Connection</source>
        <translation>Connexion</translation>
    </message>
    <message>
        <source>Connections made</source>
        <translation>Connexions établies</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Continuer</translation>
    </message>
    <message>
        <source>Counted</source>
        <translation>Décompte</translation>
    </message>
    <message>
        <source>Counted by note, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta}).</source>
        <translation>Compté par note&#xa0;: epsilon {spent} sur {total} est consommé avec cette mise à jour, il reste {left} (delta {delta}).</translation>
    </message>
    <message>
        <source>Counted by patient, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta}).</source>
        <translation>Compté par patient&#xa0;: epsilon {spent} sur {total} est consommé avec cette mise à jour, il reste {left} (delta {delta}).</translation>
    </message>
    <message>
        <source>Counts and a loss over all these notes together. No adapter leaves.</source>
        <translation>Des effectifs et une perte sur l’ensemble de ces notes. Aucun adaptateur ne sort.</translation>
    </message>
    <message>
        <source>Counts of your notes</source>
        <translation>Effectifs de vos notes</translation>
    </message>
    <message>
        <source>Deadline</source>
        <translation>Délai</translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation>Délais</translation>
    </message>
    <message>
        <source>Decided by</source>
        <translation>Décidé par</translation>
    </message>
    <message>
        <source>Decided on (sha256)</source>
        <translation>Objet de la décision (sha256)</translation>
    </message>
    <message>
        <source>Decision</source>
        <translation>Décision</translation>
    </message>
    <message>
        <source>Decision asked for again</source>
        <translation>Décision redemandée</translation>
    </message>
    <message>
        <source>Decision to keep the update</source>
        <translation>Décision de garder la mise à jour</translation>
    </message>
    <message>
        <source>Decisions</source>
        <translation>Décisions</translation>
    </message>
    <message>
        <source>Details: {error}</source>
        <translation>Détails&#xa0;: {error}</translation>
    </message>
    <message>
        <source>Did not answer in time</source>
        <translation>N’a pas répondu à temps</translation>
    </message>
    <message>
        <source>Difference</source>
        <translation>Différence</translation>
    </message>
    <message>
        <source>Disk</source>
        <translation>Disque</translation>
    </message>
    <message>
        <source>Dismiss</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Fait</translation>
    </message>
    <message>
        <source>Download</source>
        <translation>Téléchargement</translation>
    </message>
    <message>
        <source>Downloading</source>
        <translation>Téléchargement en cours</translation>
    </message>
    <message>
        <source>Drift</source>
        <translation>Dérive</translation>
    </message>
    <message>
        <source>Drift is computed in this project&apos;s own way.</source>
        <translation>La dérive est calculée d’une manière propre à ce projet.</translation>
    </message>
    <message>
        <source>Drift: {values}</source>
        <translation>Dérive&#xa0;: {values}</translation>
    </message>
    <message>
        <source>Duration</source>
        <translation>Durée</translation>
    </message>
    <message>
        <source>Each method is compared with the best of the other federated ones.</source>
        <translation>Chaque méthode est comparée à la meilleure des autres méthodes fédérées.</translation>
    </message>
    <message>
        <source>Each note</source>
        <translation>Chaque note</translation>
    </message>
    <message>
        <source>Each patient</source>
        <translation>Chaque patient</translation>
    </message>
    <message>
        <source>Each site reports how many entities of each type its notes have.</source>
        <translation>Chaque site indique combien d’entités de chaque type ses notes contiennent.</translation>
    </message>
    <message>
        <source>Each site reports how many notes of each specialty it has.</source>
        <translation>Chaque site indique combien de notes de chaque spécialité il a.</translation>
    </message>
    <message>
        <source>Encryption</source>
        <translation>Chiffrement</translation>
    </message>
    <message>
        <source>End and publish</source>
        <translation>Terminer et publier</translation>
    </message>
    <message>
        <source>End it</source>
        <translation>Terminer</translation>
    </message>
    <message>
        <source>End of the log</source>
        <translation>Fin du journal</translation>
    </message>
    <message>
        <source>End the demonstration?</source>
        <translation>Terminer la démonstration&#xa0;?</translation>
    </message>
    <message>
        <source>End the federation with the adapter of round {round}?</source>
        <translation>Terminer la fédération avec l’adaptateur du tour {round}&#xa0;?</translation>
    </message>
    <message>
        <source>Ends</source>
        <translation>Fin</translation>
    </message>
    <message>
        <source>Enter never sends. Press the space bar, or click.</source>
        <translation>La touche Entrée n’envoie jamais. Appuyez sur la barre d’espace, ou cliquez.</translation>
    </message>
    <message>
        <source>Entities</source>
        <translation>Entités</translation>
    </message>
    <message>
        <source>Entities F1</source>
        <translation>F1 des entités</translation>
    </message>
    <message>
        <source>Entities by type</source>
        <translation>Entités par type</translation>
    </message>
    <message>
        <source>Entities in training notes by type</source>
        <translation>Entités des notes d’entraînement, par type</translation>
    </message>
    <message>
        <source>Entry</source>
        <translation>Entrée</translation>
    </message>
    <message>
        <source>Evaluating…</source>
        <translation>Évaluation…</translation>
    </message>
    <message>
        <source>Every number that leaves</source>
        <translation>Tous les nombres qui sortent</translation>
    </message>
    <message>
        <source>Every page can be skipped, and everything can be done later. The program works without a network.</source>
        <translation>Chaque page peut être passée, et tout peut se faire plus tard. Le programme fonctionne sans réseau.</translation>
    </message>
    <message>
        <source>Every site needs the same files.</source>
        <translation>Chaque site a besoin des mêmes fichiers.</translation>
    </message>
    <message>
        <source>Every site sees it.</source>
        <translation>Chaque site le voit.</translation>
    </message>
    <message>
        <source>Everything is fine; there is nothing to do here. The round continues with other sites: not every site is asked in each round, and a site that joins late waits for the next one.</source>
        <translation>Tout va bien&#xa0;; il n’y a rien à faire ici. Le tour continue avec d’autres sites&#xa0;: tous les sites ne sont pas sollicités à chaque tour, et un site qui arrive tard attend le suivant.</translation>
    </message>
    <message>
        <source>Everything that the federation needs is kept there.</source>
        <translation>Il contient tout ce dont la fédération a besoin.</translation>
    </message>
    <message>
        <source>Expires when the round closes</source>
        <translation>Expire à la clôture du tour</translation>
    </message>
    <message>
        <source>Expires {time}, {left} left</source>
        <translation>Expire&#xa0;: {time}, reste {left}</translation>
    </message>
    <message>
        <source>Exported to a file</source>
        <translation>Exporté dans un fichier</translation>
    </message>
    <message>
        <source>F1</source>
        <translation>F1</translation>
    </message>
    <message>
        <source>Factor {factors} of your adapter: no byte of it is in this update.</source>
        <translation>Facteur {factors} de votre adaptateur&#xa0;: aucun octet n’en figure dans cette mise à jour.</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Échec</translation>
    </message>
    <message>
        <source>Federation</source>
        <translation>Fédération</translation>
    </message>
    <message>
        <source>Federation finished</source>
        <translation>Fédération terminée</translation>
    </message>
    <message>
        <source>Federation joined</source>
        <translation>Fédération rejointe</translation>
    </message>
    <message>
        <source>Federation left</source>
        <translation>Fédération quittée</translation>
    </message>
    <message>
        <source>Federation paused</source>
        <translation>Fédération en pause</translation>
    </message>
    <message>
        <source>Federation resumed</source>
        <translation>Fédération reprise</translation>
    </message>
    <message>
        <source>Federation, final</source>
        <translation>Fédération, à la fin</translation>
    </message>
    <message>
        <source>Federation, {when}</source>
        <translation>Fédération, {when}</translation>
    </message>
    <message>
        <source>Fetching the adapter</source>
        <translation>Récupération de l’adaptateur</translation>
    </message>
    <message>
        <source>Fewer than the sites that a round needs: no round could close.</source>
        <translation>Moins que les sites nécessaires à un tour&#xa0;: aucun tour ne pourrait se clore.</translation>
    </message>
    <message>
        <source>Files of older updates are deleted, combined adapters never. Leave it empty to keep all.</source>
        <translation>Les fichiers des mises à jour plus anciennes sont supprimés, jamais les adaptateurs combinés. Laissez vide pour tout garder.</translation>
    </message>
    <message>
        <source>Files that are not read: {files}.</source>
        <translation>Fichiers non lus&#xa0;: {files}.</translation>
    </message>
    <message numerus="yes">
        <source>Final in %n second(s)</source>
        <translation>
            <numerusform>Définitif dans %n seconde</numerusform>
            <numerusform>Définitif dans %n secondes</numerusform>
        </translation>
    </message>
    <message>
        <source>Final now</source>
        <translation>Définitif</translation>
    </message>
    <message>
        <source>Final scores</source>
        <translation>Scores finaux</translation>
    </message>
    <message>
        <source>Finds {hits:.0%} of them at 1% false alarms (guessing: 1%).</source>
        <translation>En trouve {hits:.0%} avec 1&#xa0;% de fausses alertes (au hasard&#xa0;: 1&#xa0;%).</translation>
    </message>
    <message>
        <source>Fingerprint of its key</source>
        <translation>Empreinte de sa clé</translation>
    </message>
    <message>
        <source>Finish</source>
        <translation>Terminer</translation>
    </message>
    <message>
        <source>Finished</source>
        <translation>Terminé</translation>
    </message>
    <message>
        <source>Finishing and saving the current step. Nothing is lost.</source>
        <translation>Le pas en cours s’achève et s’enregistre. Rien n’est perdu.</translation>
    </message>
    <message>
        <source>First approval</source>
        <translation>Première approbation</translation>
    </message>
    <message>
        <source>First of two approvals</source>
        <translation>Première de deux approbations</translation>
    </message>
    <message>
        <source>Fitted to our notes</source>
        <translation>Ajusté à nos notes</translation>
    </message>
    <message>
        <source>Fitted to {site}</source>
        <translation>Adapté à {site}</translation>
    </message>
    <message>
        <source>Fitted: it is surer of the right answers, but finds less: {after} of 100 on your validation notes, {before} with the common model.</source>
        <translation>Ajusté : il est plus sûr des bonnes réponses, mais trouve moins : {after} sur 100 sur vos notes de validation, {before} avec le modèle commun.</translation>
    </message>
    <message>
        <source>Fitted: it is surer of the right answers, but finds no more: {after} of 100 on your validation notes.</source>
        <translation>Ajusté : il est plus sûr des bonnes réponses, mais ne trouve pas plus : {after} sur 100 sur vos notes de validation.</translation>
    </message>
    <message>
        <source>Fitted: on your validation notes it is surer of the right answers than the common model.</source>
        <translation>Ajusté : sur vos notes de validation, il est plus sûr des bonnes réponses que le modèle commun.</translation>
    </message>
    <message>
        <source>Fitted: {after} of 100 found correctly on your validation notes, {before} with the common model.</source>
        <translation>Ajusté : {after} sur 100 trouvés correctement sur vos notes de validation, {before} avec le modèle commun.</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>Dossier</translation>
    </message>
    <message>
        <source>Folder of the federation</source>
        <translation>Dossier de la fédération</translation>
    </message>
    <message>
        <source>For differential privacy: the smaller, the better protected. Leave it empty to do without.</source>
        <translation>Pour la confidentialité différentielle&#xa0;: plus il est petit, meilleure est la protection. Laissez vide pour s’en passer.</translation>
    </message>
    <message>
        <source>For every update: {does}.</source>
        <translation>Pour chaque mise à jour&#xa0;: {does}.</translation>
    </message>
    <message>
        <source>For example the final one of an earlier federation. Leave it empty to start from scratch.</source>
        <translation>Par exemple l’adaptateur final d’une fédération précédente. Laissez vide pour partir de zéro.</translation>
    </message>
    <message>
        <source>For some tasks it finds nothing on {notes}, after training as well: {tasks}.</source>
        <translation>Pour certaines tâches, il ne trouve rien sur {notes}, même après l’entraînement&#xa0;: {tasks}.</translation>
    </message>
    <message>
        <source>For specialists</source>
        <translation>Pour les spécialistes</translation>
    </message>
    <message>
        <source>Form</source>
        <translation>Forme</translation>
    </message>
    <message>
        <source>Found correctly, of 100</source>
        <translation>Trouvés correctement, sur 100</translation>
    </message>
    <message>
        <source>Found correctly, of 100, on {notes}.</source>
        <translation>Trouvés correctement, sur 100, dans {notes}.</translation>
    </message>
    <message>
        <source>Found one of your own, let this computer serve it, and invite other hospitals.</source>
        <translation>Fondez la vôtre, hébergez-la sur cet ordinateur et invitez d’autres hôpitaux.</translation>
    </message>
    <message>
        <source>Friday</source>
        <translation>vendredi</translation>
    </message>
    <message>
        <source>From the update alone</source>
        <translation>À partir de la mise à jour seule</translation>
    </message>
    <message>
        <source>From types.toml beside the notes:</source>
        <translation>Lu dans types.toml, à côté des notes&#xa0;:</translation>
    </message>
    <message>
        <source>From your hospital&apos;s certificate authority, as a PEM file. Left empty, the program makes its own.</source>
        <translation>De l’autorité de certification de votre hôpital, en fichier PEM. S’il reste vide, le programme crée le sien.</translation>
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
        <translation>Continuer</translation>
    </message>
    <message>
        <source>Go on serving {federation}?</source>
        <translation>Continuer à héberger {federation}&#xa0;?</translation>
    </message>
    <message>
        <source>Go on serving, and close</source>
        <translation>Continuer, et fermer</translation>
    </message>
    <message>
        <source>Go on waiting</source>
        <translation>Continuer d’attendre</translation>
    </message>
    <message>
        <source>Go on with the rounds</source>
        <translation>Continuer les tours</translation>
    </message>
    <message numerus="yes">
        <source>Half of the change is in %n of {all} layers, most of it in layer {most}.</source>
        <translation>
            <numerusform>La moitié de la modification est dans %n couche sur {all}, surtout dans la couche {most}.</numerusform>
            <numerusform>La moitié de la modification est dans %n couches sur {all}, surtout dans la couche {most}.</numerusform>
        </translation>
    </message>
    <message>
        <source>Hardly protected by differential privacy: its epsilon is too large.</source>
        <translation>À peine protégé par la confidentialité différentielle&#xa0;: son epsilon est trop grand.</translation>
    </message>
    <message>
        <source>Has not connected yet</source>
        <translation>N’est pas encore venu</translation>
    </message>
    <message>
        <source>Held. Nothing of this update has left.</source>
        <translation>Mise en attente. Rien de cette mise à jour n’est sorti.</translation>
    </message>
    <message>
        <source>Here the example notes of {site} stand for yours.</source>
        <translation>Ici, les notes d’exemple de {site} tiennent lieu des vôtres.</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Historique</translation>
    </message>
    <message>
        <source>Hold decides nothing. Keep leaves it here for this round. Send can be taken back for ten seconds.</source>
        <translation>«&#xa0;Attendre&#xa0;» ne décide rien. «&#xa0;Garder sur place&#xa0;» la laisse ici pour ce tour. Un envoi peut être annulé pendant dix secondes.</translation>
    </message>
    <message>
        <source>Host</source>
        <comment>who hosts</comment>
        <translation>Organisateur</translation>
    </message>
    <message>
        <source>Host</source>
        <translation>Héberger</translation>
    </message>
    <message>
        <source>Host a federation</source>
        <translation>Héberger une fédération</translation>
    </message>
    <message>
        <source>Hosting</source>
        <translation>Hébergement</translation>
    </message>
    <message>
        <source>Hosts that this program connected to</source>
        <translation>Hôtes auxquels ce programme s’est connecté</translation>
    </message>
    <message>
        <source>Hours for each decision</source>
        <translation>Heures pour chaque décision</translation>
    </message>
    <message>
        <source>Hours that a round may take</source>
        <translation>Heures que peut durer un tour</translation>
    </message>
    <message>
        <source>How far the adapter has moved is being measured.</source>
        <translation>On mesure de combien l’adaptateur a changé.</translation>
    </message>
    <message>
        <source>How it differs</source>
        <translation>En quoi elle diffère</translation>
    </message>
    <message>
        <source>How likely the model finds each answer compared with the others. It does not say how sure you can be.</source>
        <translation>Probabilité que le modèle accorde à chaque réponse par rapport aux autres. Cela ne dit pas à quel point vous pouvez en être sûr.</translation>
    </message>
    <message>
        <source>How long</source>
        <translation>Durée</translation>
    </message>
    <message>
        <source>How often a site goes through its notes in a round.</source>
        <translation>Combien de fois un site parcourt ses notes dans un tour.</translation>
    </message>
    <message>
        <source>How this site&apos;s notes compare with the federation&apos;s is known after the next round.</source>
        <translation>La comparaison des notes de ce site avec celles de la fédération sera connue après le prochain tour.</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Ce que cela apporte</translation>
    </message>
    <message>
        <source>ICD-10 codes</source>
        <translation>Codes CIM-10</translation>
    </message>
    <message>
        <source>ICD-10 codes F1</source>
        <translation>F1 des codes CIM-10</translation>
    </message>
    <message>
        <source>Identity</source>
        <translation>Identité</translation>
    </message>
    <message>
        <source>If it is combining updates, this may take half a minute.</source>
        <translation>Une combinaison en cours peut prendre une demi-minute.</translation>
    </message>
    <message>
        <source>If it stops, sites wait for it; nothing is lost.</source>
        <translation>S’il s’arrête, les sites l’attendent&#xa0;; rien n’est perdu.</translation>
    </message>
    <message>
        <source>If nobody decides before the round closes, it closes without this site.</source>
        <translation>Si personne ne décide avant la clôture du tour, il se clôt sans ce site.</translation>
    </message>
    <message>
        <source>If the words differ, somebody is intercepting the connection: stop, and tell the host.</source>
        <translation>Si les mots diffèrent, quelqu’un intercepte la connexion&#xa0;: arrêtez, et prévenez l’organisateur.</translation>
    </message>
    <message>
        <source>If they differ, somebody is in between, or it is another computer. Then let nobody in.</source>
        <translation>S’ils diffèrent, quelqu’un s’interpose, ou c’est un autre ordinateur. Ne laissez alors entrer personne.</translation>
    </message>
    <message>
        <source>If your network forwards another port to the one above.</source>
        <translation>Si votre réseau redirige un autre port vers celui ci-dessus.</translation>
    </message>
    <message>
        <source>Imported from a file</source>
        <translation>Importé d’un fichier</translation>
    </message>
    <message>
        <source>In each round, every site trains once and decides once.</source>
        <translation>À chacun, chaque site entraîne et décide une fois.</translation>
    </message>
    <message>
        <source>In round {n}, on notes kept aside</source>
        <translation>Au tour {n}, sur des notes mises de côté</translation>
    </message>
    <message>
        <source>In the background</source>
        <translation>En arrière-plan</translation>
    </message>
    <message>
        <source>In the file: {words}.</source>
        <translation>Dans le fichier&#xa0;: {words}.</translation>
    </message>
    <message>
        <source>In the notes</source>
        <translation>Dans les notes</translation>
    </message>
    <message>
        <source>In this round</source>
        <translation>Dans ce tour</translation>
    </message>
    <message>
        <source>Inferred: {names}. The parts of these papers that could be read contain no formulas; these methods were designed from their descriptions, and no number here can be compared with theirs.</source>
        <translation>Déduit&#xa0;: {names}. Les parties de ces articles que nous avons pu lire ne contiennent aucune formule&#xa0;; ces méthodes ont été conçues d’après leurs descriptions, et aucun chiffre d’ici ne peut être comparé aux leurs.</translation>
    </message>
    <message>
        <source>Intended</source>
        <translation>Prévu</translation>
    </message>
    <message>
        <source>Intervals of few seeds are much too narrow: lower and higher are shown only where a paired t-test over seeds finds a difference as well. No difference shown does not prove that there is none.</source>
        <translation>Avec peu de graines, les intervalles sont beaucoup trop étroits&#xa0;: «&#xa0;plus bas&#xa0;» et «&#xa0;plus haut&#xa0;» ne s’affichent que si un test t apparié sur les graines trouve aussi une différence. L’absence de différence montrée ne prouve pas qu’il n’y en a pas.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are hardly known better than others.</source>
        <translation>Les données inventées vues à l’entraînement ne sont guère mieux connues que d’autres.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are known a little.</source>
        <translation>Les données inventées vues à l’entraînement sont un peu connues.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are known: a real one seen as often would be too.</source>
        <translation>Les données inventées vues à l’entraînement sont connues&#xa0;: une donnée réelle vue aussi souvent le serait aussi.</translation>
    </message>
    <message>
        <source>Invite a site</source>
        <translation>Inviter un site</translation>
    </message>
    <message>
        <source>Invite the sites.</source>
        <translation>Invitez les sites.</translation>
    </message>
    <message>
        <source>Invite {site} anew</source>
        <translation>Réinviter {site}</translation>
    </message>
    <message>
        <source>Invited</source>
        <translation>Invité</translation>
    </message>
    <message>
        <source>It becomes the final one, and no round follows. What sites send in this round is not used.</source>
        <translation>Il devient le final, et aucun tour ne suit. Ce que les sites envoient dans ce tour n’est pas utilisé.</translation>
    </message>
    <message>
        <source>It begins as soon as this computer has time for it.</source>
        <translation>Cela commence dès que cet ordinateur est disponible.</translation>
    </message>
    <message>
        <source>It can come with another key then: from another computer, or after it lost its folder.</source>
        <translation>Il peut alors venir avec une autre clé&#xa0;: d’un autre ordinateur, ou après avoir perdu son dossier.</translation>
    </message>
    <message>
        <source>It can no longer be taken back.</source>
        <translation>L’envoi ne peut plus être annulé.</translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator does not answer; sending continues once it does.</source>
        <translation>L’envoi ne peut plus être annulé. Le coordinateur ne répond pas&#xa0;; l’envoi reprend dès qu’il répond.</translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator fetches exactly what you approved.</source>
        <translation>L’envoi ne peut plus être annulé. Le coordinateur récupère exactement ce que vous avez approuvé.</translation>
    </message>
    <message>
        <source>It closes at {time}, or once all have answered.</source>
        <translation>Il se clôt à {time}, ou dès que tous ont répondu.</translation>
    </message>
    <message>
        <source>It closes once all have answered.</source>
        <translation>Il se clôt dès que tous ont répondu.</translation>
    </message>
    <message>
        <source>It counts until {time}.</source>
        <translation>Elle est valable jusqu’à {time}.</translation>
    </message>
    <message>
        <source>It does not count in this round.</source>
        <translation>Elle ne compte pas dans ce tour.</translation>
    </message>
    <message>
        <source>It finds nothing on {notes} yet</source>
        <translation>Il ne trouve encore rien sur {notes}</translation>
    </message>
    <message>
        <source>It finds nothing on {notes}, after training as well: sending it helps nobody.</source>
        <translation>Il ne trouve rien sur {notes}, même après l’entraînement&#xa0;: l’envoyer n’aide personne.</translation>
    </message>
    <message>
        <source>It finds nothing yet</source>
        <translation>Il ne trouve encore rien</translation>
    </message>
    <message>
        <source>It finishes at {time} at the latest.</source>
        <translation>Elle se termine à {time} au plus tard.</translation>
    </message>
    <message>
        <source>It holds a single step, and from a single step published attacks can rebuild whole texts.</source>
        <translation>Elle ne contient qu’un seul pas, et à partir d’un seul pas des attaques publiées reconstituent des textes entiers.</translation>
    </message>
    <message>
        <source>It is combined from the updates that have come: {count}.</source>
        <translation>Il est combiné à partir des mises à jour arrivées&#xa0;: {count}.</translation>
    </message>
    <message>
        <source>It is for {names}, not for the address above: sites will refuse it.</source>
        <translation>Il est pour {names}, pas pour l’adresse ci-dessus&#xa0;: les sites le refuseront.</translation>
    </message>
    <message>
        <source>It is right for {share:.0%} of pairs of notes, {low:.0%} to {high:.0%} (guessing: 50%); {trained} notes that were trained on, {other} held out.</source>
        <translation>Elle a raison pour {share:.0%} des paires de notes, de {low:.0%} à {high:.0%} (au hasard&#xa0;: 50&#xa0;%)&#xa0;; {trained} notes vues à l’entraînement, {other} mises de côté.</translation>
    </message>
    <message>
        <source>It is saved in {folder}.</source>
        <translation>Enregistré dans {folder}.</translation>
    </message>
    <message>
        <source>It is sent once the coordinator is back.</source>
        <translation>L’envoi se fera dès que le coordinateur sera de retour.</translation>
    </message>
    <message>
        <source>It is trained on at least {least} notes.</source>
        <translation>Elle est entraînée sur au moins {least} notes.</translation>
    </message>
    <message>
        <source>It is trained with differential privacy, and at most epsilon {most} is spent.</source>
        <translation>Elle est entraînée avec la confidentialité différentielle, et au plus epsilon {most} est consommé.</translation>
    </message>
    <message>
        <source>It leaves in {left} s.</source>
        <translation>Départ dans {left} s.</translation>
    </message>
    <message>
        <source>It leaves now.</source>
        <translation>Elle part maintenant.</translation>
    </message>
    <message>
        <source>It makes you a host of this federation. You need neither a model nor notes for that.</source>
        <translation>Elle fait de vous un organisateur de cette fédération. Il ne vous faut ni modèle ni notes.</translation>
    </message>
    <message>
        <source>It starts from the beginning next time. What it has written so far is not kept.</source>
        <translation>La prochaine fois, la réponse recommence au début. Ce qui est déjà écrit n’est pas conservé.</translation>
    </message>
    <message>
        <source>It starts over.</source>
        <translation>Tout recommence au début.</translation>
    </message>
    <message>
        <source>It sums {steps} steps of {batch} passages from {notes} notes at rank {rank}; published attacks rebuild texts from a single step. More steps, more notes and a lower rank make it harder; nothing here proves that it cannot be done.</source>
        <translation>Elle additionne {steps} pas de {batch} passages issus de {notes} notes au rang {rank}&#xa0;; les attaques publiées reconstituent des textes à partir d’un seul pas. Davantage de pas, davantage de notes et un rang plus bas rendent cela plus difficile&#xa0;; rien ici ne prouve que c’est impossible.</translation>
    </message>
    <message>
        <source>It was begun but did not finish.</source>
        <translation>C’était commencé et n’est pas arrivé à son terme.</translation>
    </message>
    <message>
        <source>It will be made.</source>
        <translation>Il sera créé.</translation>
    </message>
    <message>
        <source>Its answer: {option}</source>
        <translation>Sa réponse&#xa0;: {option}</translation>
    </message>
    <message>
        <source>Its connection ends, and no round waits for it any more. What it has sent before still counts.</source>
        <translation>Sa connexion se termine, et aucun tour ne l’attend plus. Ce qu’il a envoyé avant compte toujours.</translation>
    </message>
    <message>
        <source>Its curves are drawn in grey behind the present ones, and what it had found after as many rounds.</source>
        <translation>Ses courbes sont tracées en gris derrière les courbes actuelles, avec ce qu’elle trouvait après autant de tours.</translation>
    </message>
    <message>
        <source>Its disk is full, or a file is missing there. It continues by itself once that is solved; there is nothing to do here.</source>
        <translation>Son disque est plein, ou un fichier y manque. Il reprend de lui-même dès que c’est réglé&#xa0;; il n’y a rien à faire ici.</translation>
    </message>
    <message>
        <source>Its final adapter is on this computer. Try it on a note, beside the base model.</source>
        <translation>Son adaptateur final est sur cet ordinateur. Essayez-le sur une note, à côté du modèle de base.</translation>
    </message>
    <message>
        <source>Its final adapter is the one of round {round}.</source>
        <translation>Son adaptateur final est celui du tour {round}.</translation>
    </message>
    <message>
        <source>Its last training was on your notes alone: keep it at your site.</source>
        <translation>Son dernier entraînement s’est fait sur vos seules notes : gardez-le sur votre site.</translation>
    </message>
    <message>
        <source>Its own hash</source>
        <translation>Sa propre empreinte</translation>
    </message>
    <message>
        <source>Its private key, as a PEM file without a password.</source>
        <translation>Sa clé privée, en fichier PEM sans mot de passe.</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Rejoindre</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Rejoindre une fédération</translation>
    </message>
    <message>
        <source>Join one with the invitation that its host gave you, or look at a demonstration first.</source>
        <translation>Rejoignez-en une avec l’invitation que son organisateur vous a donnée, ou regardez d’abord une démonstration.</translation>
    </message>
    <message>
        <source>Keep it</source>
        <translation>Le garder</translation>
    </message>
    <message>
        <source>Keep taking part</source>
        <translation>Continuer à participer</translation>
    </message>
    <message>
        <source>Keep taking part while the window is closed?</source>
        <translation>Continuer à participer quand la fenêtre est fermée&#xa0;?</translation>
    </message>
    <message>
        <source>Keep the window open</source>
        <translation>Garder la fenêtre ouverte</translation>
    </message>
    <message>
        <source>Keep training</source>
        <translation>Continuer l’entraînement</translation>
    </message>
    <message>
        <source>Keep watching</source>
        <translation>Continuer à regarder</translation>
    </message>
    <message>
        <source>Kept on site</source>
        <translation>Gardée sur place</translation>
    </message>
    <message>
        <source>Kept on this computer</source>
        <translation>Gardé sur cet ordinateur</translation>
    </message>
    <message>
        <source>Key of the certificate</source>
        <translation>Clé du certificat</translation>
    </message>
    <message>
        <source>Key of the site</source>
        <translation>Clé du site</translation>
    </message>
    <message>
        <source>Keys of rows that are not read: {keys}.</source>
        <translation>Clés de lignes non lues&#xa0;: {keys}.</translation>
    </message>
    <message>
        <source>Last seen</source>
        <translation>Dernier signe</translation>
    </message>
    <message>
        <source>Layer</source>
        <translation>Couche</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Couche par couche</translation>
    </message>
    <message>
        <source>Learning from your notes…</source>
        <translation>Apprentissage sur vos notes…</translation>
    </message>
    <message>
        <source>Learning rate</source>
        <translation>Taux d’apprentissage</translation>
    </message>
    <message>
        <source>Leave it</source>
        <translation>La laisser</translation>
    </message>
    <message numerus="yes">
        <source>Leaves in %n second(s)</source>
        <translation>
            <numerusform>Départ dans %n seconde</numerusform>
            <numerusform>Départ dans %n secondes</numerusform>
        </translation>
    </message>
    <message>
        <source>Leaving now</source>
        <translation>Départ en cours</translation>
    </message>
    <message>
        <source>Left out, as its annotators decided ({what}).</source>
        <translation>Écartée, sur décision des annotateurs ({what}).</translation>
    </message>
    <message>
        <source>Left out, as marked by the annotators</source>
        <translation>Écartées, comme indiqué par les annotateurs</translation>
    </message>
    <message>
        <source>Let it be sent</source>
        <translation>Laisser partir</translation>
    </message>
    <message>
        <source>Let it go on</source>
        <translation>Laisser continuer</translation>
    </message>
    <message>
        <source>Loading</source>
        <translation>Chargement</translation>
    </message>
    <message>
        <source>Longest passage</source>
        <translation>Plus long passage</translation>
    </message>
    <message>
        <source>Look at these twice</source>
        <translation>À regarder de près</translation>
    </message>
    <message>
        <source>Look twice: somebody with this adapter might learn something about your notes.</source>
        <translation>À regarder de près&#xa0;: une personne disposant de cet adaptateur pourrait apprendre quelque chose sur vos notes.</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Perte</translation>
    </message>
    <message>
        <source>Loss (lower is better)</source>
        <translation>Perte (plus elle est basse, mieux c’est)</translation>
    </message>
    <message>
        <source>Loss is after the last round, on the validation notes of all sites; lower is better.</source>
        <translation>La perte est celle d’après le dernier tour, sur les notes de validation de tous les sites&#xa0;; plus elle est basse, mieux c’est.</translation>
    </message>
    <message>
        <source>Loss on shared notes</source>
        <translation>Perte sur les notes communes</translation>
    </message>
    <message>
        <source>MAP</source>
        <translation>MAP</translation>
    </message>
    <message>
        <source>MB moved</source>
        <translation>Mo transférés</translation>
    </message>
    <message>
        <source>Mark as reviewed</source>
        <translation>Marquer comme revu</translation>
    </message>
    <message>
        <source>Masked with</source>
        <translation>Masquée avec</translation>
    </message>
    <message>
        <source>Mean of tasks</source>
        <translation>Moyenne des tâches</translation>
    </message>
    <message>
        <source>Meaning of the signature</source>
        <translation>Signification de la signature</translation>
    </message>
    <message>
        <source>Measure</source>
        <translation>Mesure</translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s).</source>
        <translation>
            <numerusform>Mesuré sur %n note de validation.</numerusform>
            <numerusform>Mesuré sur %n notes de validation.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s): so small a difference may be chance.</source>
        <translation>
            <numerusform>Mesuré sur %n note de validation : une si petite différence peut être due au hasard.</numerusform>
            <numerusform>Mesuré sur %n notes de validation : une si petite différence peut être due au hasard.</numerusform>
        </translation>
    </message>
    <message>
        <source>Measured on {notes} in round {round}.</source>
        <translation>Mesuré sur {notes}, au tour {round}.</translation>
    </message>
    <message>
        <source>Measured on {notes}, which were never used for training.</source>
        <translation>Mesuré sur {notes}, qu’aucun entraînement n’a vues.</translation>
    </message>
    <message>
        <source>Measured on {notes}.</source>
        <translation>Mesuré sur {notes}.</translation>
    </message>
    <message>
        <source>Measuring what has changed</source>
        <translation>Mesure de ce qui a changé</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Mémoire</translation>
    </message>
    <message>
        <source>Memory, MiB</source>
        <translation>Mémoire, Mio</translation>
    </message>
    <message>
        <source>Mentions in several parts: {count}.</source>
        <translation>Mentions en plusieurs morceaux&#xa0;: {count}.</translation>
    </message>
    <message>
        <source>Mentions inside another: {count}.</source>
        <translation>Mentions à l’intérieur d’une autre&#xa0;: {count}.</translation>
    </message>
    <message>
        <source>Mentions marked more than once, taken once: {count} ({what}).</source>
        <translation>Mentions marquées plusieurs fois, comptées une fois&#xa0;: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions of nothing but spaces, left out: {count} ({what}).</source>
        <translation>Mentions composées seulement d’espaces, écartées&#xa0;: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions per note: half have up to / nine in ten up to</source>
        <translation>Mentions par note, la moitié jusqu’à / neuf sur dix jusqu’à</translation>
    </message>
    <message>
        <source>Mentions that partly overlap another: {count}.</source>
        <translation>Mentions qui en chevauchent une autre&#xa0;: {count}.</translation>
    </message>
    <message>
        <source>Mentions with spaces at the ends, which were cut off: {count} ({what}).</source>
        <translation>Mentions dont les espaces aux extrémités ont été coupés&#xa0;: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions with wrong offsets, which were found nearby by their words: {count} ({what}).</source>
        <translation>Mentions aux positions fausses, retrouvées grâce à leurs mots à proximité&#xa0;: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions without any characters, left out: {count} ({what}).</source>
        <translation>Mentions sans aucun caractère, écartées&#xa0;: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions written in another form than in the text, with letters composed otherwise: {count} ({what}). The text&apos;s own characters are taken.</source>
        <translation>Mentions écrites sous une autre forme que dans le texte, avec des lettres composées autrement&#xa0;: {count} ({what}). Les caractères du texte sont retenus.</translation>
    </message>
    <message>
        <source>Message with a wrong signature refused</source>
        <translation>Message à la signature fausse refusé</translation>
    </message>
    <message>
        <source>Method</source>
        <translation>Méthode</translation>
    </message>
    <message>
        <source>Missed</source>
        <translation>Manqué</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modèle</translation>
    </message>
    <message>
        <source>Model drift</source>
        <translation>Dérive du modèle</translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation>Dossier du modèle</translation>
    </message>
    <message>
        <source>Modifiers</source>
        <translation>Modificateurs</translation>
    </message>
    <message>
        <source>Modifiers F1</source>
        <translation>F1 des modificateurs</translation>
    </message>
    <message>
        <source>Modifiers and relations by type</source>
        <translation>Modificateurs et relations par type</translation>
    </message>
    <message>
        <source>Modifiers of these</source>
        <translation>Attributs de ces entités</translation>
    </message>
    <message>
        <source>Module</source>
        <translation>Module</translation>
    </message>
    <message>
        <source>Moment</source>
        <translation>Moment</translation>
    </message>
    <message>
        <source>Monday</source>
        <translation>lundi</translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation>Suivi</translation>
    </message>
    <message>
        <source>More than the sites that are expected: no round could close.</source>
        <translation>Plus que les sites attendus&#xa0;: aucun tour ne pourrait se clore.</translation>
    </message>
    <message>
        <source>Most frequent codes</source>
        <translation>Codes les plus fréquents</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Nom</translation>
    </message>
    <message>
        <source>Name of the federation</source>
        <translation>Nom de la fédération</translation>
    </message>
    <message>
        <source>New sites</source>
        <translation>Nouveaux sites</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>Suivant</translation>
    </message>
    <message>
        <source>Next try in {time}.</source>
        <translation>Prochain essai dans {time}.</translation>
    </message>
    <message>
        <source>No</source>
        <translation>Non</translation>
    </message>
    <message>
        <source>No better on {notes}</source>
        <translation>Pas meilleur sur {notes}</translation>
    </message>
    <message>
        <source>No code is certain enough.</source>
        <translation>Aucun code n’est assez certain.</translation>
    </message>
    <message>
        <source>No code matches this note.</source>
        <translation>Aucun code n’est proche de cette note.</translation>
    </message>
    <message>
        <source>No connection to the coordinator</source>
        <translation>Pas de connexion au coordinateur</translation>
    </message>
    <message>
        <source>No decision in time</source>
        <translation>Pas de décision à temps</translation>
    </message>
    <message>
        <source>No difference beyond chance between {adapter} and the base model.</source>
        <translation>Aucune différence au-delà du hasard entre {adapter} et le modèle de base.</translation>
    </message>
    <message>
        <source>No entities found before you stopped it.</source>
        <translation>Aucune entité trouvée avant l’arrêt.</translation>
    </message>
    <message>
        <source>No entities found so far.</source>
        <translation>Aucune entité trouvée jusqu’ici.</translation>
    </message>
    <message>
        <source>No entities found.</source>
        <translation>Aucune entité trouvée.</translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation>Pas encore de fédération</translation>
    </message>
    <message>
        <source>No long passage of your notes came out word for word because of this round.</source>
        <translation>Aucun long passage de vos notes n’est ressorti mot pour mot à cause de ce tour.</translation>
    </message>
    <message>
        <source>No longer look after it</source>
        <translation>Ne plus la suivre</translation>
    </message>
    <message>
        <source>No longer look after {federation}?</source>
        <translation>Ne plus suivre {federation}&#xa0;?</translation>
    </message>
    <message>
        <source>No modifiers found.</source>
        <translation>Aucun modificateur trouvé.</translation>
    </message>
    <message>
        <source>No modifiers: they are looked for around entities, and none was found.</source>
        <translation>Aucun modificateur&#xa0;: on les cherche autour des entités, et aucune n’a été trouvée.</translation>
    </message>
    <message>
        <source>No native speaker has checked the texts in German, French and Spanish yet.</source>
        <translation>Les textes en allemand, en français et en espagnol n’ont pas encore été relus par des personnes dont c’est la langue maternelle.</translation>
    </message>
    <message>
        <source>No page has all of these words. These have some:</source>
        <translation>Aucune page ne contient tous ces mots. Celles-ci en contiennent certains&#xa0;:</translation>
    </message>
    <message>
        <source>No round begins or closes until it is resumed. No deadline passes.</source>
        <translation>Aucun tour ne commence ni ne se clôt avant la reprise. Aucun délai ne court.</translation>
    </message>
    <message>
        <source>No round begins or closes, and no deadline passes, until you resume it. Sites finish what they have begun, and what they send still counts.</source>
        <translation>Aucun tour ne commence ni ne se clôt, et aucun délai ne court, jusqu’à ce que vous la repreniez. Les sites finissent ce qui leur a été demandé, et ce qu’ils envoient compte toujours.</translation>
    </message>
    <message>
        <source>No round begins or ends until the host lets it go on; there is nothing to do here.</source>
        <translation>Aucun tour ne commence ni ne finit tant que l’organisateur ne la relance pas&#xa0;; il n’y a rien à faire ici.</translation>
    </message>
    <message>
        <source>No summary.</source>
        <translation>Aucun résumé.</translation>
    </message>
    <message>
        <source>Nobody can join with it any longer. You can invite this site again.</source>
        <translation>Plus personne ne peut l’utiliser pour participer. Vous pouvez réinviter ce site.</translation>
    </message>
    <message>
        <source>Nobody has marked this record as reviewed yet.</source>
        <translation>Personne n’a encore marqué ce registre comme revu.</translation>
    </message>
    <message>
        <source>None yet.</source>
        <translation>Aucune pour l’instant.</translation>
    </message>
    <message>
        <source>Norm</source>
        <translation>Norme</translation>
    </message>
    <message>
        <source>Not asked for.</source>
        <translation>Non demandé.</translation>
    </message>
    <message>
        <source>Not asked in this round</source>
        <translation>Non sollicité pour ce tour</translation>
    </message>
    <message>
        <source>Not evaluated</source>
        <translation>Non évalué</translation>
    </message>
    <message>
        <source>Not everything could be measured. What was tried found nothing; that is no proof.</source>
        <translation>Tout n’a pas pu être mesuré. Ce qui a été essayé n’a rien trouvé&#xa0;; ce n’est pas une preuve.</translation>
    </message>
    <message>
        <source>Not fitted</source>
        <translation>Non ajusté</translation>
    </message>
    <message>
        <source>Not joined</source>
        <translation>Non rejointe</translation>
    </message>
    <message>
        <source>Not measured for this update. An adapter can reveal something about the notes that it was trained on.</source>
        <translation>Non mesuré pour cette mise à jour. Un adaptateur peut révéler quelque chose des notes sur lesquelles il a été entraîné.</translation>
    </message>
    <message>
        <source>Not read, because the other side could not be read.</source>
        <translation>Non lu, parce que l’autre côté n’a pas pu être lu.</translation>
    </message>
    <message>
        <source>Not scored on {notes}</source>
        <translation>Non évalué sur {notes}</translation>
    </message>
    <message>
        <source>Not used: it is longer than {what}.</source>
        <translation>Non utilisée&#xa0;: elle est plus longue que {what}.</translation>
    </message>
    <message>
        <source>Not used: the text is empty.</source>
        <translation>Non utilisée&#xa0;: le texte est vide.</translation>
    </message>
    <message>
        <source>Not used: {what} has the same id.</source>
        <translation>Non utilisée&#xa0;: son identifiant est aussi celui de {what}.</translation>
    </message>
    <message>
        <source>Not used: {what}.</source>
        <translation>Non utilisée&#xa0;: {what}.</translation>
    </message>
    <message>
        <source>Not yet comparable with {earlier}: no round of both has been scored</source>
        <translation>Pas encore comparable à {earlier}&#xa0;: aucun tour n’a été évalué dans les deux</translation>
    </message>
    <message>
        <source>Note text</source>
        <translation>Texte de la note</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Notes</translation>
    </message>
    <message>
        <source>Notes by number of characters</source>
        <translation>Notes par nombre de caractères</translation>
    </message>
    <message>
        <source>Notes by number of tokens, the pieces of words that a model reads</source>
        <translation>Notes par nombre de tokens, les morceaux de mots que lit un modèle</translation>
    </message>
    <message>
        <source>Notes of one patient stay together.</source>
        <translation>Les notes d’un même patient restent ensemble.</translation>
    </message>
    <message>
        <source>Notes that are nearly the same stay together.</source>
        <translation>Les notes presque identiques restent ensemble.</translation>
    </message>
    <message>
        <source>Nothing answers there now. You can join anyway; this site keeps trying.</source>
        <translation>Rien n’y répond pour l’instant. Vous pouvez rejoindre la fédération quand même&#xa0;; ce site continue d’essayer.</translation>
    </message>
    <message>
        <source>Nothing found for “{words}”. Did you mean “{instead}”?</source>
        <translation>Rien trouvé pour «&#xa0;{words}&#xa0;». Vouliez-vous dire «&#xa0;{instead}&#xa0;»&#xa0;?</translation>
    </message>
    <message>
        <source>Nothing found for “{words}”: try another word.</source>
        <translation>Rien trouvé pour «&#xa0;{words}&#xa0;»&#xa0;: essayez un autre mot.</translation>
    </message>
    <message>
        <source>Nothing has changed in this round.</source>
        <translation>Rien n’a changé dans ce tour.</translation>
    </message>
    <message>
        <source>Nothing is lost.</source>
        <translation>Rien n’est perdu.</translation>
    </message>
    <message>
        <source>Nothing is trained before you agree. Below you see who asks, and what would be shared.</source>
        <translation>Rien n’est entraîné avant votre accord. Vous voyez ci-dessous qui demande, et ce qui serait partagé.</translation>
    </message>
    <message numerus="yes">
        <source>Nothing is wrong, but %n thing(s) should be looked at.</source>
        <translation>
            <numerusform>Tout est en ordre, mais %n point mérite un coup d’œil.</numerusform>
            <numerusform>Tout est en ordre, mais %n points méritent un coup d’œil.</numerusform>
        </translation>
    </message>
    <message>
        <source>Nothing leaves it; you decide afterwards.</source>
        <translation>Rien n’en sort&#xa0;; vous décidez ensuite.</translation>
    </message>
    <message>
        <source>Nothing leaves this computer.</source>
        <translation>Rien ne sort de cet ordinateur.</translation>
    </message>
    <message>
        <source>Nothing of it has left this computer.</source>
        <translation>Rien de cela n’a quitté cet ordinateur.</translation>
    </message>
    <message>
        <source>Nothing of this update has left.</source>
        <translation>Rien de cette mise à jour n’est sorti.</translation>
    </message>
    <message>
        <source>Nothing to show yet</source>
        <translation>Rien à afficher pour l’instant</translation>
    </message>
    <message>
        <source>Nothing was gained: the common model is as good on your notes.</source>
        <translation>Rien n’a été gagné : le modèle commun est aussi bon sur vos notes.</translation>
    </message>
    <message>
        <source>Nothing was kept.</source>
        <translation>Rien n’a été conservé.</translation>
    </message>
    <message>
        <source>Nothing was lost. You can continue where you stopped.</source>
        <translation>Rien n’a été perdu. Vous pouvez continuer là où vous vous êtes arrêté.</translation>
    </message>
    <message>
        <source>Notifications</source>
        <translation>Notifications</translation>
    </message>
    <message>
        <source>Now ({site}): {work}.</source>
        <translation>En ce moment ({site})&#xa0;: {work}.</translation>
    </message>
    <message>
        <source>Now: {work}.</source>
        <translation>En ce moment&#xa0;: {work}.</translation>
    </message>
    <message>
        <source>Numbers, names, addresses</source>
        <translation>Nombres, noms, adresses</translation>
    </message>
    <message>
        <source>Of its report only these numbers may leave: {names}.</source>
        <translation>De son rapport, seuls ces nombres peuvent sortir&#xa0;: {names}.</translation>
    </message>
    <message>
        <source>Of the full model</source>
        <translation>Part du modèle complet</translation>
    </message>
    <message>
        <source>Offline</source>
        <translation>Hors ligne</translation>
    </message>
    <message>
        <source>Old updates deleted</source>
        <translation>Anciennes mises à jour supprimées</translation>
    </message>
    <message numerus="yes">
        <source>On %n note(s); in brackets the 95 % interval of each score.</source>
        <translation>
            <numerusform>Sur %n note&#xa0;; entre parenthèses, l’intervalle à 95&#xa0;% de chaque score.</numerusform>
            <numerusform>Sur %n notes&#xa0;; entre parenthèses, l’intervalle à 95&#xa0;% de chaque score.</numerusform>
        </translation>
    </message>
    <message>
        <source>Once a round&apos;s training is done, this shows how much each layer has changed.</source>
        <translation>Une fois l’entraînement d’un tour terminé, ceci montre combien chaque couche a changé.</translation>
    </message>
    <message>
        <source>One of the notes cannot be used.</source>
        <translation>L’une des notes est inutilisable.</translation>
    </message>
    <message>
        <source>One of the notes does not have the format of a note.</source>
        <translation>L’une des notes n’a pas le format d’une note.</translation>
    </message>
    <message>
        <source>Only sites on this computer can join, at {address}.</source>
        <translation>Seuls les sites de cet ordinateur peuvent participer, à {address}.</translation>
    </message>
    <message>
        <source>Only these people may approve: {names}.</source>
        <translation>Seules ces personnes peuvent approuver&#xa0;: {names}.</translation>
    </message>
    <message>
        <source>Only this computer, to try it out</source>
        <translation>Cet ordinateur seulement, pour essayer</translation>
    </message>
    <message>
        <source>Open the program to see why.</source>
        <translation>Ouvrez le programme pour voir pourquoi.</translation>
    </message>
    <message>
        <source>Other computers cannot find this one by that address. Give its name in the network.</source>
        <translation>Les autres ordinateurs ne trouvent pas celui-ci ainsi. Indiquez son nom sur le réseau.</translation>
    </message>
    <message>
        <source>Other computers, encrypted</source>
        <translation>Autres ordinateurs, chiffré</translation>
    </message>
    <message>
        <source>Other computers, over the network (encrypted)</source>
        <translation>D’autres ordinateurs, par le réseau (chiffré)</translation>
    </message>
    <message>
        <source>Other side</source>
        <translation>Autre partie</translation>
    </message>
    <message>
        <source>Other sites</source>
        <translation>Autres sites</translation>
    </message>
    <message>
        <source>Otherwise: {does}.</source>
        <translation>Sinon&#xa0;: {does}.</translation>
    </message>
    <message>
        <source>Packages that the program uses</source>
        <translation>Paquets sur lesquels repose le programme</translation>
    </message>
    <message>
        <source>Parts of one document stay together.</source>
        <translation>Les parties d’un même document restent ensemble.</translation>
    </message>
    <message>
        <source>Passes over the notes</source>
        <translation>Passages sur les notes</translation>
    </message>
    <message>
        <source>Patients</source>
        <translation>Patients</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Pause</translation>
    </message>
    <message>
        <source>Pause the federation?</source>
        <translation>Mettre la fédération en pause&#xa0;?</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>En pause</translation>
    </message>
    <message>
        <source>Paused at the site</source>
        <translation>En pause sur le site</translation>
    </message>
    <message>
        <source>Paused by a host</source>
        <translation>Mise en pause par un organisateur</translation>
    </message>
    <message>
        <source>Performance drift</source>
        <translation>Dérive de performance</translation>
    </message>
    <message>
        <source>Perhaps better on {notes}, not sure</source>
        <translation>Peut-être meilleur sur {notes}, résultat incertain</translation>
    </message>
    <message>
        <source>Perhaps better than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then</source>
        <translation>Peut-être mieux que {earlier} après autant de tours ({rounds}), résultat incertain&#xa0;: {now} sur 100, {then} à l’époque</translation>
    </message>
    <message>
        <source>Perhaps worse on {notes}, not sure</source>
        <translation>Peut-être moins bon sur {notes}, résultat incertain</translation>
    </message>
    <message>
        <source>Perhaps worse than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then</source>
        <translation>Peut-être moins bien que {earlier} après autant de tours ({rounds}), résultat incertain&#xa0;: {now} sur 100, {then} à l’époque</translation>
    </message>
    <message>
        <source>Phone the host, at a number that you already have, and read them out. The host sees the same words.</source>
        <translation>Appelez l’organisateur, à un numéro que vous avez déjà, et lisez-les à voix haute. L’organisateur voit les mêmes mots.</translation>
    </message>
    <message>
        <source>Plain text</source>
        <translation>Texte brut</translation>
    </message>
    <message>
        <source>Plain text is learned without labels and goes with nothing else: choose it alone.</source>
        <translation>Le texte brut s’apprend sans annotations et ne va avec rien d’autre&#xa0;: choisissez-le seul.</translation>
    </message>
    <message>
        <source>Plan received</source>
        <translation>Plan reçu</translation>
    </message>
    <message>
        <source>Planted records</source>
        <translation>Données témoins</translation>
    </message>
    <message>
        <source>Points, of 100</source>
        <translation>Points, sur 100</translation>
    </message>
    <message>
        <source>Points, of 100, on {notes}.</source>
        <translation>Points sur 100, mesurés sur {notes}.</translation>
    </message>
    <message>
        <source>Policy of this site</source>
        <translation>Politique de ce site</translation>
    </message>
    <message>
        <source>Policy rule applied</source>
        <translation>Règle de la politique appliquée</translation>
    </message>
    <message>
        <source>Port</source>
        <translation>Port</translation>
    </message>
    <message>
        <source>Port in the invitations</source>
        <translation>Port dans les invitations</translation>
    </message>
    <message>
        <source>Preparing</source>
        <translation>Préparation</translation>
    </message>
    <message>
        <source>Privacy budget (epsilon)</source>
        <translation>Budget de confidentialité (epsilon)</translation>
    </message>
    <message>
        <source>Probes: {name} is {value}.</source>
        <translation>Sondes&#xa0;: {name} vaut {value}.</translation>
    </message>
    <message>
        <source>Processor {share}, {memory}</source>
        <translation>Processeur {share}, {memory}</translation>
    </message>
    <message>
        <source>Production</source>
        <translation>Production</translation>
    </message>
    <message>
        <source>Production: its results are meant to be used</source>
        <translation>Production&#xa0;: le résultat est destiné à être utilisé</translation>
    </message>
    <message>
        <source>Program</source>
        <translation>Programme</translation>
    </message>
    <message>
        <source>Protected to some degree by differential privacy.</source>
        <translation>Protégé dans une certaine mesure par la confidentialité différentielle.</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>Proxy</translation>
    </message>
    <message>
        <source>Public notes</source>
        <translation>Notes publiques</translation>
    </message>
    <message>
        <source>Qt {qt} and PySide6: GNU LGPL 3, as shared libraries that you may replace; their sources are at
{sources}</source>
        <translation>Qt {qt} et PySide6&#xa0;: GNU LGPL 3, sous forme de bibliothèques partagées que vous pouvez remplacer&#xa0;; leurs sources se trouvent à l’adresse
{sources}</translation>
    </message>
    <message>
        <source>Questions</source>
        <translation>Questions</translation>
    </message>
    <message>
        <source>Questions, right</source>
        <translation>Questions, réponses justes</translation>
    </message>
    <message>
        <source>ROUGE on average</source>
        <translation>ROUGE en moyenne</translation>
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
        <translation>Rang de l’adaptateur</translation>
    </message>
    <message>
        <source>Rank {rank:.0f} at this site</source>
        <translation>Rang {rank:.0f} sur ce site</translation>
    </message>
    <message>
        <source>Rank, mean / last</source>
        <translation>Rang, moyen / dernier</translation>
    </message>
    <message>
        <source>Rank: not known yet</source>
        <translation>Rang&#xa0;: pas encore connu</translation>
    </message>
    <message>
        <source>Read after the other side.</source>
        <translation>Lu après l’autre côté.</translation>
    </message>
    <message>
        <source>Read as plain text, like the other files of its folder, though it looks like {what}. If it is, put it into a folder of its own.</source>
        <translation>Lu comme texte brut, comme les autres fichiers de son dossier, bien qu’il ressemble à {what}. Si c’en est, mettez-le dans un dossier à part.</translation>
    </message>
    <message>
        <source>Reading</source>
        <translation>Lecture</translation>
    </message>
    <message>
        <source>Reading part {part} of {parts}</source>
        <translation>Lecture de la partie {part} sur {parts}</translation>
    </message>
    <message>
        <source>Reading the notes and the model…</source>
        <translation>Lecture des notes et du modèle…</translation>
    </message>
    <message>
        <source>Reading your notes and loading the base model.</source>
        <translation>Lecture de vos notes et chargement du modèle de base.</translation>
    </message>
    <message>
        <source>Ready for your decision</source>
        <translation>À vous de décider</translation>
    </message>
    <message>
        <source>Reason</source>
        <translation>Motif</translation>
    </message>
    <message>
        <source>Recall@10</source>
        <translation>Rappel@10</translation>
    </message>
    <message>
        <source>Recall@10, category</source>
        <translation>Rappel@10, catégorie</translation>
    </message>
    <message>
        <source>Receipt</source>
        <translation>Accusé de réception</translation>
    </message>
    <message>
        <source>Receipt checked</source>
        <translation>Accusé de réception vérifié</translation>
    </message>
    <message>
        <source>Received</source>
        <translation>Reçue</translation>
    </message>
    <message>
        <source>Record begun by a newer version of the program</source>
        <translation>Registre commencé par une version plus récente du programme</translation>
    </message>
    <message>
        <source>Record reviewed</source>
        <translation>Registre revu</translation>
    </message>
    <message>
        <source>Refused</source>
        <translation>Refusée</translation>
    </message>
    <message>
        <source>Refused by the coordinator</source>
        <translation>Refusée par le coordinateur</translation>
    </message>
    <message>
        <source>Rejection</source>
        <translation>Refus</translation>
    </message>
    <message>
        <source>Relations left out, because one of their mentions is missing: {count}.</source>
        <translation>Relations écartées, car une mention à leur extrémité manque&#xa0;: {count}.</translation>
    </message>
    <message>
        <source>Relations listed more than once, taken once: {count}.</source>
        <translation>Relations listées plusieurs fois, comptées une fois&#xa0;: {count}.</translation>
    </message>
    <message>
        <source>Release for sending</source>
        <translation>Autorisation d’envoi</translation>
    </message>
    <message>
        <source>Removal</source>
        <translation>Retrait</translation>
    </message>
    <message>
        <source>Remove the site</source>
        <translation>Retirer le site</translation>
    </message>
    <message>
        <source>Remove {site}?</source>
        <translation>Retirer {site}&#xa0;?</translation>
    </message>
    <message>
        <source>Removed</source>
        <translation>Retiré</translation>
    </message>
    <message>
        <source>Request to join refused</source>
        <translation>Demande de participation refusée</translation>
    </message>
    <message>
        <source>Research demonstration, not for diagnosis or treatment</source>
        <translation>Démonstration de recherche, pas pour le diagnostic ni le traitement</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>Résultat</translation>
    </message>
    <message>
        <source>Resume it, and its sites are asked once more.</source>
        <translation>Reprenez-le, et ses sites sont sollicités une fois encore.</translation>
    </message>
    <message>
        <source>Review</source>
        <translation>Examiner</translation>
    </message>
    <message>
        <source>Review and decide</source>
        <translation>Examiner et décider</translation>
    </message>
    <message>
        <source>Reviewed up to entry {number} by {name}, {day}.</source>
        <translation>Revu jusqu’à l’entrée {number} par {name}, {day}.</translation>
    </message>
    <message>
        <source>Right answers</source>
        <translation>Réponses justes</translation>
    </message>
    <message>
        <source>Riverside federation</source>
        <translation>Riverside federation</translation>
    </message>
    <message>
        <source>Round</source>
        <translation>Tour</translation>
    </message>
    <message>
        <source>Round closed</source>
        <translation>Tour clos</translation>
    </message>
    <message>
        <source>Round closed without it</source>
        <translation>Tour clos sans elle</translation>
    </message>
    <message>
        <source>Round declined</source>
        <translation>Tour décliné</translation>
    </message>
    <message>
        <source>Round opened</source>
        <translation>Tour ouvert</translation>
    </message>
    <message>
        <source>Round {round}</source>
        <translation>Tour {round}</translation>
    </message>
    <message>
        <source>Round {round} has stopped: too few sites have sent</source>
        <translation>Le tour {round} s’est arrêté&#xa0;: trop peu de sites ont envoyé</translation>
    </message>
    <message>
        <source>Round {round} is finished</source>
        <translation>Le tour {round} est terminé</translation>
    </message>
    <message>
        <source>Round {round} of {rounds}</source>
        <translation>Tour {round} sur {rounds}</translation>
    </message>
    <message>
        <source>Round {round} of {rounds} needs {quorum} updates.</source>
        <translation>Le tour {round} sur {rounds} a besoin de {quorum} mises à jour.</translation>
    </message>
    <message>
        <source>Round {round}.</source>
        <translation>Tour {round}.</translation>
    </message>
    <message>
        <source>Rounds</source>
        <translation>Tours</translation>
    </message>
    <message>
        <source>Rounds whose updates are kept</source>
        <translation>Tours dont les mises à jour sont gardées</translation>
    </message>
    <message>
        <source>Rule {number}, &quot;{name}&quot;: {when}{does}.</source>
        <translation>Règle {number}, «&#xa0;{name}&#xa0;»&#xa0;: {when}{does}.</translation>
    </message>
    <message>
        <source>Run the demonstration or choose an adapter.</source>
        <translation>Lancez la démonstration ou choisissez un adaptateur.</translation>
    </message>
    <message>
        <source>Saturday</source>
        <translation>samedi</translation>
    </message>
    <message>
        <source>Saved as {path}, signed by this site&apos;s key {key}. Whoever gets it checks it with: fedmed-desktop --verify-audit {path}</source>
        <translation>Enregistré sous {path}, signé par la clé {key} de ce site. Qui le reçoit le vérifie avec&#xa0;: fedmed-desktop --verify-audit {path}</translation>
    </message>
    <message>
        <source>Saved as {path}, without a signature: this site has no key yet.</source>
        <translation>Enregistré sous {path}, sans signature&#xa0;: ce site n’a pas encore de clé.</translation>
    </message>
    <message>
        <source>Saved as {path}. A table proves nothing by itself; for that, export the signed JSON.</source>
        <translation>Enregistré sous {path}. Un tableau ne prouve rien en lui-même&#xa0;; pour cela, exportez le JSON signé.</translation>
    </message>
    <message>
        <source>Saved as {path}. It learned from patients&apos; notes: keep it where such a model may be.</source>
        <translation>Enregistré sous {path}. Il a appris à partir de notes de patients&#xa0;: gardez-le là où un tel modèle est autorisé.</translation>
    </message>
    <message>
        <source>Saved as {path}. Paper proves nothing by itself; for that, export the signed JSON.</source>
        <translation>Enregistré sous {path}. Le papier ne prouve rien en lui-même&#xa0;; pour cela, exportez le JSON signé.</translation>
    </message>
    <message>
        <source>Saved {time}. Research software: this makes no medical claim.</source>
        <translation>Enregistré&#xa0;: {time}. Logiciel de recherche&#xa0;: aucune allégation médicale.</translation>
    </message>
    <message>
        <source>Saving…</source>
        <translation>Enregistrement…</translation>
    </message>
    <message>
        <source>Score</source>
        <translation>Score</translation>
    </message>
    <message>
        <source>Score on your notes</source>
        <translation>Score sur vos notes</translation>
    </message>
    <message>
        <source>Scores</source>
        <translation>Scores</translation>
    </message>
    <message>
        <source>Scores are no better</source>
        <translation>Les scores ne sont pas meilleurs</translation>
    </message>
    <message>
        <source>Scores became worse</source>
        <translation>Les scores ont baissé</translation>
    </message>
    <message>
        <source>Scores improved</source>
        <translation>Les scores ont progressé</translation>
    </message>
    <message>
        <source>Scores of the final adapter</source>
        <translation>Scores de l’adaptateur final</translation>
    </message>
    <message>
        <source>Scoring</source>
        <translation>Évaluation</translation>
    </message>
    <message>
        <source>Scoring after training</source>
        <translation>Évaluation après l’entraînement</translation>
    </message>
    <message>
        <source>Scoring before training</source>
        <translation>Évaluation avant l’entraînement</translation>
    </message>
    <message>
        <source>Scoring the final adapter</source>
        <translation>Évaluation de l’adaptateur final</translation>
    </message>
    <message>
        <source>Secret key</source>
        <translation>Clé secrète</translation>
    </message>
    <message>
        <source>Secret key made</source>
        <translation>Clé secrète créée</translation>
    </message>
    <message>
        <source>Secret key missing</source>
        <translation>Clé secrète manquante</translation>
    </message>
    <message>
        <source>Secret key moved to another place</source>
        <translation>Clé secrète déplacée</translation>
    </message>
    <message>
        <source>Secret key replaced</source>
        <translation>Clé secrète remplacée</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Voir une démonstration</translation>
    </message>
    <message>
        <source>See it again</source>
        <translation>Revoir</translation>
    </message>
    <message>
        <source>See what a model finds in a note on this computer. Nothing is sent anywhere.</source>
        <translation>Voyez ce qu’un modèle trouve dans une note sur cet ordinateur. Rien n’est envoyé nulle part.</translation>
    </message>
    <message>
        <source>Semantic drift</source>
        <translation>Dérive sémantique</translation>
    </message>
    <message>
        <source>Sending</source>
        <translation>Envoi</translation>
    </message>
    <message>
        <source>Sending soon</source>
        <translation>Envoi imminent</translation>
    </message>
    <message>
        <source>Sending started</source>
        <translation>Envoi commencé</translation>
    </message>
    <message>
        <source>Sending the adapter</source>
        <translation>Envoi de l’adaptateur</translation>
    </message>
    <message>
        <source>Sends nothing in this round</source>
        <translation>N’envoie rien dans ce tour</translation>
    </message>
    <message>
        <source>Sent</source>
        <translation>Envoyé</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Paramètres</translation>
    </message>
    <message>
        <source>Share from your notes</source>
        <translation>Part venant de vos notes</translation>
    </message>
    <message>
        <source>Share of the change</source>
        <translation>Part de la modification</translation>
    </message>
    <message>
        <source>Show me</source>
        <translation>Montrez-moi</translation>
    </message>
    <message>
        <source>Site</source>
        <translation>Site</translation>
    </message>
    <message>
        <source>Site closed in the program</source>
        <translation>Site fermé dans le programme</translation>
    </message>
    <message>
        <source>Site confirmed</source>
        <translation>Site confirmé</translation>
    </message>
    <message>
        <source>Site invited</source>
        <translation>Site invité</translation>
    </message>
    <message>
        <source>Site opened in the program</source>
        <translation>Site ouvert dans le programme</translation>
    </message>
    <message>
        <source>Site removed</source>
        <translation>Site retiré</translation>
    </message>
    <message>
        <source>Site&apos;s key replaced</source>
        <translation>Clé d’un site remplacée</translation>
    </message>
    <message>
        <source>Sites add noise as they train. With few notes, little is learned.</source>
        <translation>Les sites ajoutent du bruit pendant l’entraînement. Avec peu de notes, peu est appris.</translation>
    </message>
    <message>
        <source>Sites are waiting for it. Nothing is lost: once it runs again, everything continues where it stopped.</source>
        <translation>Les sites l’attendent. Rien n’est perdu&#xa0;: dès qu’elle reprend, tout continue là où c’en était.</translation>
    </message>
    <message>
        <source>Sites asked in each round</source>
        <translation>Sites demandés à chaque tour</translation>
    </message>
    <message>
        <source>Sites can join while this computer is on. They find it by the address in their invitations.</source>
        <translation>Les sites peuvent participer tant que cet ordinateur est allumé. Ils le trouvent à l’adresse de leur invitation.</translation>
    </message>
    <message>
        <source>Sites connect to it; their invitations name it.</source>
        <translation>Les sites l’appellent&#xa0;: elle figure dans leur invitation.</translation>
    </message>
    <message>
        <source>Sites expected</source>
        <translation>Sites attendus</translation>
    </message>
    <message>
        <source>Sites that a round needs</source>
        <translation>Sites nécessaires à un tour</translation>
    </message>
    <message>
        <source>Sites that are expected</source>
        <translation>Sites attendus</translation>
    </message>
    <message>
        <source>Sites wait until you serve it again. Nothing is lost: everything goes on where it was, and what they are training goes on at the sites.</source>
        <translation>Les sites attendent que vous la remettiez en service. Rien n’est perdu&#xa0;: tout continue là où c’en était, et les entraînements en cours se poursuivent sur les sites.</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Taille</translation>
    </message>
    <message>
        <source>So far neither is ahead.</source>
        <translation>Jusqu’ici, aucun n’est devant.</translation>
    </message>
    <message>
        <source>So far {ahead} is ahead; too few comparisons to tell.</source>
        <translation>Jusqu’ici, {ahead} est devant&#xa0;; trop peu de comparaisons pour conclure.</translation>
    </message>
    <message>
        <source>So far {ahead} is better, fairly sure.</source>
        <translation>Jusqu’ici, {ahead} est meilleur, résultat assez sûr.</translation>
    </message>
    <message>
        <source>Some of the notes do not have the format of a note.</source>
        <translation>Certaines notes n’ont pas le format d’une note.</translation>
    </message>
    <message>
        <source>Something needs me, such as a fault</source>
        <translation>On a besoin de moi (une panne…)</translation>
    </message>
    <message>
        <source>Specialties</source>
        <translation>Spécialités</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Vitesse</translation>
    </message>
    <message>
        <source>State</source>
        <translation>État</translation>
    </message>
    <message>
        <source>Stay</source>
        <translation>Rester</translation>
    </message>
    <message>
        <source>Stay in the tray</source>
        <translation>Rester près de l’horloge</translation>
    </message>
    <message>
        <source>Stay its host</source>
        <translation>Rester organisateur</translation>
    </message>
    <message>
        <source>Stay open</source>
        <translation>Rester ouvert</translation>
    </message>
    <message>
        <source>Step</source>
        <translation>Pas</translation>
    </message>
    <message>
        <source>Step 1 of 3: loading what training needs, and reading the example notes of three sites.</source>
        <translation>Étape 1 sur 3&#xa0;: chargement de ce dont l’entraînement a besoin, et lecture des notes d’exemple de trois sites.</translation>
    </message>
    <message>
        <source>Step 2 of 3: the coordinator starts, and the sites connect to it.</source>
        <translation>Étape 2 sur 3&#xa0;: le coordinateur démarre, et les sites s’y connectent.</translation>
    </message>
    <message>
        <source>Step 3 of 3: loading the small model and preparing the notes for it.</source>
        <translation>Étape 3 sur 3&#xa0;: chargement du petit modèle et préparation des notes.</translation>
    </message>
    <message>
        <source>Step {done} of {total}</source>
        <translation>Étape {done} sur {total}</translation>
    </message>
    <message>
        <source>Stop and close</source>
        <translation>Arrêter et fermer</translation>
    </message>
    <message>
        <source>Stop it and begin</source>
        <translation>L’arrêter et commencer</translation>
    </message>
    <message>
        <source>Stop serving</source>
        <translation>Arrêter</translation>
    </message>
    <message>
        <source>Stop serving the federation?</source>
        <translation>Arrêter d’héberger la fédération&#xa0;?</translation>
    </message>
    <message>
        <source>Stop serving, and close</source>
        <translation>Arrêter, et fermer</translation>
    </message>
    <message>
        <source>Stop taking part</source>
        <translation>Ne plus participer</translation>
    </message>
    <message>
        <source>Stop taking part?</source>
        <translation>Ne plus participer&#xa0;?</translation>
    </message>
    <message>
        <source>Stopped</source>
        <translation>Arrêté</translation>
    </message>
    <message>
        <source>Strongly protected by differential privacy.</source>
        <translation>Fortement protégé par la confidentialité différentielle.</translation>
    </message>
    <message>
        <source>Summaries</source>
        <translation>Résumés</translation>
    </message>
    <message>
        <source>Summary ROUGE</source>
        <translation>ROUGE des résumés</translation>
    </message>
    <message>
        <source>Sunday</source>
        <translation>dimanche</translation>
    </message>
    <message>
        <source>Support bundle</source>
        <translation>Fichier d’assistance</translation>
    </message>
    <message>
        <source>Tags that do not fit the tag before them: {count} ({what}). A mention begins where an inside tag continues none, and ends where its end tag is missing.</source>
        <translation>Étiquettes qui ne s’accordent pas avec la précédente&#xa0;: {count} ({what}). Une mention commence là où une étiquette intérieure n’en prolonge aucune, et finit là où son étiquette de fin manque.</translation>
    </message>
    <message>
        <source>Take back</source>
        <translation>Annuler l’envoi</translation>
    </message>
    <message>
        <source>Take back the invitation of {site}?</source>
        <translation>Retirer l’invitation de {site}&#xa0;?</translation>
    </message>
    <message>
        <source>Take it back</source>
        <translation>La retirer</translation>
    </message>
    <message>
        <source>Take part</source>
        <translation>Participer</translation>
    </message>
    <message>
        <source>Take part at once</source>
        <translation>Participent aussitôt</translation>
    </message>
    <message>
        <source>Take part in {federation}?</source>
        <translation>Participer à {federation}&#xa0;?</translation>
    </message>
    <message>
        <source>Taken back</source>
        <translation>Envoi annulé</translation>
    </message>
    <message>
        <source>Taken back. Nothing of this update has left.</source>
        <translation>Envoi annulé. Rien de cette mise à jour n’est sorti.</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>Tâche</translation>
    </message>
    <message>
        <source>Tasks</source>
        <translation>Tâches</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>Test</translation>
    </message>
    <message>
        <source>Test loss</source>
        <translation>Perte de test</translation>
    </message>
    <message>
        <source>Test run</source>
        <translation>Essai</translation>
    </message>
    <message>
        <source>Test: its results are not for use</source>
        <translation>Test&#xa0;: le résultat ne compte pas</translation>
    </message>
    <message>
        <source>That needs counts of specialties or types, which this federation does not share.</source>
        <translation>Il faut pour cela des effectifs par spécialité ou par type, que cette fédération ne partage pas.</translation>
    </message>
    <message>
        <source>That needs marked entities; your training notes have none.</source>
        <translation>Il faut pour cela des entités annotées&#xa0;; vos notes d’entraînement n’en ont pas.</translation>
    </message>
    <message>
        <source>That needs training notes with a specialty; none of yours has one.</source>
        <translation>Il faut pour cela des notes d’entraînement avec une spécialité&#xa0;; aucune des vôtres n’en a.</translation>
    </message>
    <message>
        <source>The adapter stays here. Waiting for the next round.</source>
        <translation>L’adaptateur reste ici. En attente du prochain tour.</translation>
    </message>
    <message>
        <source>The adapter stays on this computer.</source>
        <translation>L’adaptateur reste sur cet ordinateur.</translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on example notes of {site}, so that you see what changes.</source>
        <translation>L’adaptateur reçu est évalué sur des notes d’exemple de {site}, pour que vous voyiez ce qui change.</translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on some of your notes, so that you can see what changes.</source>
        <translation>L’adaptateur reçu est évalué sur une partie de vos notes, pour que vous voyiez ce qui change.</translation>
    </message>
    <message>
        <source>The adapter that this round starts from is on its way.</source>
        <translation>L’adaptateur dont part ce tour est en route.</translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n example note(s) of {site} is waiting.</source>
        <translation>
            <numerusform>L’adaptateur entraîné sur %n note d’exemple de {site} attend.</numerusform>
            <numerusform>L’adaptateur entraîné sur %n notes d’exemple de {site} attend.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n of your notes is waiting.</source>
        <translation>
            <numerusform>L’adaptateur entraîné sur %n de vos notes attend.</numerusform>
            <numerusform>L’adaptateur entraîné sur %n de vos notes attend.</numerusform>
        </translation>
    </message>
    <message>
        <source>The attack tried here can often tell whether a note was trained on.</source>
        <translation>L’attaque essayée ici peut souvent dire si une note a servi à l’entraînement.</translation>
    </message>
    <message>
        <source>The attack tried here can sometimes tell whether a note was trained on.</source>
        <translation>L’attaque essayée ici peut parfois dire si une note a servi à l’entraînement.</translation>
    </message>
    <message>
        <source>The attack tried here could hardly tell the notes trained on from others of yours.</source>
        <translation>L’attaque essayée ici n’a guère pu distinguer les notes de l’entraînement de vos autres notes.</translation>
    </message>
    <message>
        <source>The base model has not learned these types.</source>
        <translation>Le modèle de base n’a pas appris ces types.</translation>
    </message>
    <message>
        <source>The base model was scored.</source>
        <translation>Le modèle de base a été évalué.</translation>
    </message>
    <message>
        <source>The chain of its entries is whole.</source>
        <translation>La chaîne de ses entrées est intacte.</translation>
    </message>
    <message numerus="yes">
        <source>The change is spread over all %n layers.</source>
        <translation>
            <numerusform>La modification se trouve toute dans %n couche.</numerusform>
            <numerusform>La modification est répartie sur l’ensemble des %n couches.</numerusform>
        </translation>
    </message>
    <message>
        <source>The charts show the first {count} methods only.</source>
        <translation>Les graphiques ne montrent que les {count} premières méthodes.</translation>
    </message>
    <message>
        <source>The common model goes on learning from your training notes, on this computer, in three passes over them. As much of that is kept as is best on your validation notes. Nothing is sent.</source>
        <translation>Le modèle commun continue d’apprendre à partir de vos notes d’entraînement, sur cet ordinateur, en trois passages. On en garde autant que ce qui convient le mieux à vos notes de validation. Rien n’est envoyé.</translation>
    </message>
    <message>
        <source>The coordinator</source>
        <translation>Le coordinateur</translation>
    </message>
    <message>
        <source>The coordinator can run on without this window: rounds go on, and you find it again at the next start. It runs until you stop it, log out, or switch the computer off.</source>
        <translation>Le coordinateur peut continuer sans cette fenêtre&#xa0;: les tours se poursuivent et vous le retrouvez au prochain démarrage. Il tourne jusqu’à ce que vous l’arrêtiez, fermiez la session ou éteigniez l’ordinateur.</translation>
    </message>
    <message>
        <source>The coordinator cannot see this update alone: only the sum of the masked adapters of these sites can be opened. All numbers leave as they are.</source>
        <translation>Le coordinateur ne peut pas voir cette mise à jour seule&#xa0;: seule la somme des adaptateurs masqués de ces sites peut être ouverte. Tous les nombres sortent tels quels.</translation>
    </message>
    <message>
        <source>The coordinator combines the sites&apos; adapters into the next one.</source>
        <translation>Le coordinateur combine les adaptateurs des sites pour former le suivant.</translation>
    </message>
    <message>
        <source>The coordinator does not answer yet; you can decide once it does.</source>
        <translation>Le coordinateur ne répond pas encore&#xa0;; vous pourrez décider dès qu’il répondra.</translation>
    </message>
    <message>
        <source>The coordinator does not answer. You can decide once it does.</source>
        <translation>Le coordinateur ne répond pas. Vous pourrez décider dès qu’il répondra.</translation>
    </message>
    <message>
        <source>The coordinator does not let you in</source>
        <translation>Le coordinateur ne vous laisse pas entrer</translation>
    </message>
    <message>
        <source>The coordinator fetches exactly what you approved.</source>
        <translation>Le coordinateur récupère exactement ce que vous avez approuvé.</translation>
    </message>
    <message>
        <source>The coordinator has exactly what you approved. Receipt: {hash}.</source>
        <translation>Le coordinateur a exactement ce que vous avez approuvé. Accusé de réception&#xa0;: {hash}.</translation>
    </message>
    <message>
        <source>The coordinator has it; the receipt is kept. Waiting for others.</source>
        <translation>Le coordinateur l’a reçue&#xa0;; l’accusé de réception est conservé. En attente des autres.</translation>
    </message>
    <message>
        <source>The coordinator has stopped by itself</source>
        <translation>Le coordinateur s’est arrêté de lui-même</translation>
    </message>
    <message>
        <source>The coordinator has to wait</source>
        <translation>Le coordinateur doit attendre</translation>
    </message>
    <message>
        <source>The coordinator is finishing its work…</source>
        <translation>Le coordinateur termine ce qu’il fait…</translation>
    </message>
    <message>
        <source>The coordinator is not asking for this one now. You can decide once it does.</source>
        <translation>Le coordinateur ne la demande pas en ce moment. Vous pourrez décider dès qu’il la demandera.</translation>
    </message>
    <message>
        <source>The coordinator is starting…</source>
        <translation>Le coordinateur démarre…</translation>
    </message>
    <message>
        <source>The coordinator refused the update</source>
        <translation>Le coordinateur a refusé la mise à jour</translation>
    </message>
    <message>
        <source>The coordinator will know this site by this name.</source>
        <translation>Le coordinateur connaîtra ce site sous ce nom.</translation>
    </message>
    <message>
        <source>The demonstration was stopped</source>
        <translation>La démonstration a été arrêtée</translation>
    </message>
    <message>
        <source>The encoding is not marked and was taken to be {what}. Check a few accented letters.</source>
        <translation>L’encodage n’est pas indiqué&#xa0;; il a été supposé être {what}. Vérifiez quelques lettres accentuées.</translation>
    </message>
    <message>
        <source>The federation finishes with the scores that have come.</source>
        <translation>La fédération se termine avec les scores arrivés.</translation>
    </message>
    <message>
        <source>The federation goes on without you. To look after it again you need another invitation as a host.</source>
        <translation>La fédération continue sans vous. Pour la suivre de nouveau, il vous faut une autre invitation d’organisateur.</translation>
    </message>
    <message>
        <source>The federation has finished</source>
        <translation>La fédération est terminée</translation>
    </message>
    <message>
        <source>The federation has no adapter yet. After its first round it is shown here, beside the base. Until then you can choose one from a folder.</source>
        <translation>La fédération n’a pas encore d’adaptateur. Après son premier tour, il s’affichera ici, à côté du modèle de base. D’ici là, vous pouvez en choisir un dans un dossier.</translation>
    </message>
    <message>
        <source>The federation has stopped</source>
        <translation>La fédération s’est arrêtée</translation>
    </message>
    <message>
        <source>The federation is not served now</source>
        <translation>La fédération n’est pas en service</translation>
    </message>
    <message>
        <source>The federation is served at {address}</source>
        <translation>La fédération est en service à {address}</translation>
    </message>
    <message>
        <source>The federation is served on this computer</source>
        <translation>La fédération est en service sur cet ordinateur</translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on example test notes of {site}.</source>
        <translation>L’adaptateur final de la fédération est évalué sur des notes de test d’exemple de {site}.</translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on your test notes.</source>
        <translation>L’adaptateur final de la fédération est évalué sur vos notes de test.</translation>
    </message>
    <message>
        <source>The federation&apos;s share is the mean over the sites of round {round}, this one included, weighted by their numbers of notes. A little is added to every count, so that none is zero.</source>
        <translation>La part de la fédération est la moyenne sur les sites du tour {round}, celui-ci compris, chacun selon son nombre de notes. Un petit nombre est ajouté à chaque effectif pour qu’aucun ne soit nul.</translation>
    </message>
    <message>
        <source>The file is not read: no format fits it, or its folder was taken to be of another format.</source>
        <translation>Le fichier n’est pas lu&#xa0;: aucun format ne lui convient, ou son dossier a été pris pour un autre format.</translation>
    </message>
    <message>
        <source>The final adapter is being scored on test notes that were never used for training.</source>
        <translation>L’adaptateur final est évalué sur des notes de test qu’aucun entraînement n’a vues.</translation>
    </message>
    <message>
        <source>The final adapter, on {notes} that were never used for training.</source>
        <translation>L’adaptateur final, sur {notes} qu’aucun entraînement n’a vues.</translation>
    </message>
    <message>
        <source>The first round begins once all have joined, or at {time} with those that have.</source>
        <translation>Le premier tour commence dès que tous sont là, et à {time} avec ceux qui y sont.</translation>
    </message>
    <message>
        <source>The first round begins once this many have joined.</source>
        <translation>Le premier tour commence dès qu’autant de sites ont rejoint.</translation>
    </message>
    <message>
        <source>The first round begins once {expected} sites have joined.</source>
        <translation>Le premier tour commence dès que {expected} sites participent.</translation>
    </message>
    <message>
        <source>The first round begins with the sites that have joined. Others can join later, for the next one.</source>
        <translation>Le premier tour commence avec les sites qui participent. D’autres peuvent venir plus tard, pour le suivant.</translation>
    </message>
    <message>
        <source>The first round opens once all of them are.</source>
        <translation>Le premier tour s’ouvre dès qu’ils sont tous là.</translation>
    </message>
    <message>
        <source>The fitting stops. What it has learned from your notes so far is not kept.</source>
        <translation>L’ajustement s’arrête. Ce qu’il a appris de vos notes jusqu’ici n’est pas gardé.</translation>
    </message>
    <message>
        <source>The host has paused the federation</source>
        <translation>L’organisateur a mis la fédération en pause</translation>
    </message>
    <message>
        <source>The host of the federation gives you one: a line, a file, or a picture. Nothing is joined yet.</source>
        <translation>L’organisateur de la fédération vous en donne une&#xa0;: une ligne, un fichier ou une image. Cela ne vous engage encore à rien.</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached</source>
        <translation>L’ordinateur de l’organisateur est injoignable</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached. You can decide now; it is sent once it can be.</source>
        <translation>L’ordinateur de l’organisateur est injoignable. Vous pouvez décider maintenant&#xa0;; l’envoi se fera dès qu’il sera joignable.</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached: the update is sent once it can, and nobody can take it back then.</source>
        <translation>L’ordinateur de l’organisateur est injoignable&#xa0;: la mise à jour sera envoyée dès qu’il sera joignable, et l’envoi ne pourra alors plus être annulé.</translation>
    </message>
    <message>
        <source>The invitation is complete. Nothing has been sent yet.</source>
        <translation>L’invitation est complète. Rien n’a encore été envoyé.</translation>
    </message>
    <message>
        <source>The key {what} is not read.</source>
        <translation>La clé {what} n’est pas lue.</translation>
    </message>
    <message>
        <source>The last round is done; the final adapter is being scored</source>
        <translation>Le dernier tour est fini&#xa0;; l’adaptateur final est en cours d’évaluation</translation>
    </message>
    <message>
        <source>The mean of tasks is the mean of these, after the last round: {names}.</source>
        <translation>La moyenne des tâches est la moyenne de celles-ci, après le dernier tour&#xa0;: {names}.</translation>
    </message>
    <message>
        <source>The model is being loaded.</source>
        <translation>Le modèle est en cours de chargement.</translation>
    </message>
    <message>
        <source>The model learns from example notes of {site} on this computer.</source>
        <translation>Le modèle apprend à partir de notes d’exemple de {site} sur cet ordinateur.</translation>
    </message>
    <message>
        <source>The model learns from your notes on this computer.</source>
        <translation>Le modèle apprend à partir de vos notes sur cet ordinateur.</translation>
    </message>
    <message>
        <source>The model that was fitted before is still here.</source>
        <translation>Le modèle ajusté auparavant est toujours là.</translation>
    </message>
    <message>
        <source>The note is read without annotations, because there is no {what} beside it.</source>
        <translation>La note est lue sans annotation, car il n’y a pas de {what} à côté.</translation>
    </message>
    <message>
        <source>The notes are in a format that this program does not read.</source>
        <translation>Les notes sont dans un format que ce programme ne lit pas.</translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split is proposed below.</source>
        <translation>Les notes ne sont pas réparties en train, validation et test. Une répartition est proposée ci-dessous.</translation>
    </message>
    <message>
        <source>The notes in this folder cannot be read.</source>
        <translation>Les notes de ce dossier ne peuvent pas être lues.</translation>
    </message>
    <message>
        <source>The offsets count UTF-16 units and were turned into characters.</source>
        <translation>Les positions comptent des unités UTF-16&#xa0;; elles ont été converties en caractères.</translation>
    </message>
    <message>
        <source>The offsets count a Windows line end as one character and were corrected.</source>
        <translation>Les positions comptent une fin de ligne Windows pour un caractère&#xa0;; elles ont été corrigées.</translation>
    </message>
    <message>
        <source>The offsets count bytes of UTF-8 and were turned into characters.</source>
        <translation>Les positions comptent des octets UTF-8&#xa0;; elles ont été converties en caractères.</translation>
    </message>
    <message>
        <source>The ones in your notes have become much easier to guess.</source>
        <translation>Ceux de vos notes sont devenus beaucoup plus faciles à deviner.</translation>
    </message>
    <message>
        <source>The ones in your notes have become somewhat easier to guess.</source>
        <translation>Ceux de vos notes sont devenus un peu plus faciles à deviner.</translation>
    </message>
    <message>
        <source>The ones in your notes have hardly become easier to guess than invented ones.</source>
        <translation>Ceux de vos notes ne sont guère devenus plus faciles à deviner que des éléments inventés.</translation>
    </message>
    <message>
        <source>The person who hosts the federation</source>
        <translation>La personne qui organise la fédération</translation>
    </message>
    <message>
        <source>The person who runs the coordinator compares six words with you by phone, then lets you in.</source>
        <translation>La personne qui gère le coordinateur compare six mots avec vous par téléphone, puis vous laisse entrer.</translation>
    </message>
    <message>
        <source>The program</source>
        <translation>Le programme</translation>
    </message>
    <message>
        <source>The program can stay in the tray, beside the clock: rounds go on, and you are told when a decision waits. If it closes, this site does not answer until you open it again. Your choice applies from now on; Settings can change it.</source>
        <translation>Le programme peut rester près de l’horloge&#xa0;: les tours continuent et vous êtes prévenu quand une décision vous attend. S’il est fermé, ce site ne répond plus tant que vous ne le rouvrez pas. Votre choix vaut désormais&#xa0;; vous pouvez le modifier dans Paramètres.</translation>
    </message>
    <message>
        <source>The program has a fault</source>
        <translation>Erreur dans le programme</translation>
    </message>
    <message>
        <source>The program is closing. The update will be here at the next start.</source>
        <translation>Le programme se ferme. La mise à jour sera là au prochain démarrage.</translation>
    </message>
    <message>
        <source>The program keeps trying.</source>
        <translation>Le programme continue d’essayer.</translation>
    </message>
    <message>
        <source>The question could not be asked: the note and the question are too long.</source>
        <translation>La question n’a pas pu être posée&#xa0;: la note et la question sont trop longues.</translation>
    </message>
    <message>
        <source>The rank is at most {most}.</source>
        <translation>Le rang est d’au plus {most}.</translation>
    </message>
    <message>
        <source>The record is broken.</source>
        <translation>Le registre est rompu.</translation>
    </message>
    <message>
        <source>The record is broken: entry {number} cannot be trusted.</source>
        <translation>Le registre est rompu&#xa0;: l’entrée {number} n’est pas fiable.</translation>
    </message>
    <message numerus="yes">
        <source>The record is whole: %n entry(s), none changed, lost or inserted.</source>
        <translation>
            <numerusform>Le registre est intact&#xa0;: %n entrée, ni modifiée, ni perdue, ni insérée.</numerusform>
            <numerusform>Le registre est intact&#xa0;: %n entrées, aucune modifiée, perdue ni insérée.</numerusform>
        </translation>
    </message>
    <message>
        <source>The report stays on this computer.</source>
        <translation>Le rapport reste sur cet ordinateur.</translation>
    </message>
    <message>
        <source>The round closed before it was sent.</source>
        <translation>Le tour s’est clos avant l’envoi.</translation>
    </message>
    <message>
        <source>The round closed without it</source>
        <translation>Le tour s’est clos sans elle</translation>
    </message>
    <message>
        <source>The round closes at {time}; if nobody has decided by then, it closes without this site.</source>
        <translation>Clôture du tour&#xa0;: {time}&#xa0;; si personne n’a décidé d’ici là, il se clôt sans ce site.</translation>
    </message>
    <message>
        <source>The round is closing</source>
        <translation>Le tour est en train de se clore</translation>
    </message>
    <message>
        <source>The round no longer waits for anyone.</source>
        <translation>Le tour n’attend plus personne.</translation>
    </message>
    <message>
        <source>The same is true of {cells} and {count:,} more.</source>
        <translation>Il en va de même pour {cells} et {count:,} de plus.</translation>
    </message>
    <message>
        <source>The same is true of {cells}.</source>
        <translation>Il en va de même pour {cells}.</translation>
    </message>
    <message>
        <source>The scores are of the model with it.</source>
        <translation>Les scores sont ceux du modèle avec lui.</translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n example note(s) of {site} are waiting.</source>
        <translation>
            <numerusform>Les scores de l’adaptateur final sur %n note d’exemple de {site} attendent.</numerusform>
            <numerusform>Les scores de l’adaptateur final sur %n notes d’exemple de {site} attendent.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n of your notes are waiting.</source>
        <translation>
            <numerusform>Les scores de l’adaptateur final sur %n de vos notes attendent.</numerusform>
            <numerusform>Les scores de l’adaptateur final sur %n de vos notes attendent.</numerusform>
        </translation>
    </message>
    <message>
        <source>The sheet {what} is not read: only the first one with a column of texts is.</source>
        <translation>La feuille {what} n’est pas lue&#xa0;: seule l’est la première qui a une colonne de textes.</translation>
    </message>
    <message>
        <source>The sites&apos; adapters are combined.</source>
        <translation>Les adaptateurs des sites sont combinés.</translation>
    </message>
    <message>
        <source>The time for it was too short.</source>
        <translation>Le temps prévu était trop court.</translation>
    </message>
    <message>
        <source>The trained adapter is scored on example notes of {site}.</source>
        <translation>L’adaptateur entraîné est évalué sur des notes d’exemple de {site}.</translation>
    </message>
    <message>
        <source>The trained adapter is scored on some of your notes.</source>
        <translation>L’adaptateur entraîné est évalué sur une partie de vos notes.</translation>
    </message>
    <message numerus="yes">
        <source>The two records match: all %n hash(es) that one side holds of the other were found.</source>
        <translation>
            <numerusform>Les deux registres concordent&#xa0;: %n empreinte que l’un détient de l’autre a été retrouvée.</numerusform>
            <numerusform>Les deux registres concordent&#xa0;: les %n empreintes que l’un détient de l’autre ont toutes été retrouvées.</numerusform>
        </translation>
    </message>
    <message>
        <source>The updates of round {round} are being combined</source>
        <translation>Les mises à jour du tour {round} sont en cours de combinaison</translation>
    </message>
    <message>
        <source>The whole change is {times:.1f} times as large as in round {round}.</source>
        <translation>Dans l’ensemble, elle est {times:.1f} fois plus grande qu’au tour {round}.</translation>
    </message>
    <message>
        <source>The whole demonstration takes about {minutes} minutes; your first decision comes after about {first}.</source>
        <translation>La démonstration complète dure environ {minutes} minutes&#xa0;; votre première décision vient après {first} environ.</translation>
    </message>
    <message>
        <source>The whole update is {times:.1f} times as large as your last one.</source>
        <translation>Dans l’ensemble, elle est {times:.1f} fois plus grande que votre précédente.</translation>
    </message>
    <message>
        <source>The work has stopped. Continue it on the page Rounds; then you can decide.</source>
        <translation>Le travail s’est arrêté. Continuez-le sur la page Tours&#xa0;; vous pourrez alors décider.</translation>
    </message>
    <message>
        <source>The work stopped. What was recorded is kept.</source>
        <translation>Le travail s’est arrêté. Ce qui a été enregistré est conservé.</translation>
    </message>
    <message>
        <source>Then it closes, if enough sites have sent.</source>
        <translation>Il se clôt alors, si assez de sites ont envoyé.</translation>
    </message>
    <message>
        <source>Then the host confirms this site. If the words differ, somebody is intercepting the connection.</source>
        <translation>L’organisateur confirme ensuite ce site. Si les mots diffèrent, quelqu’un intercepte la connexion.</translation>
    </message>
    <message>
        <source>There is a problem</source>
        <translation>Il y a un problème</translation>
    </message>
    <message>
        <source>There is no policy: what leaves is decided by the person who is asked, or by --approve-rule.</source>
        <translation>Il n’y a pas de politique&#xa0;: ce qui sort est décidé par la personne à qui la question est posée, ou par --approve-rule.</translation>
    </message>
    <message>
        <source>There is none yet. It is made when this site joins a federation.</source>
        <translation>Il n’y en a pas encore. Elle est créée quand ce site rejoint une fédération.</translation>
    </message>
    <message>
        <source>There is nothing to do here until it opens.</source>
        <translation>Il n’y a rien à faire ici jusqu’à son ouverture.</translation>
    </message>
    <message>
        <source>These notes can be used as they are.</source>
        <translation>Ces notes sont utilisables telles quelles.</translation>
    </message>
    <message>
        <source>These notes can be used. Look at the points below first.</source>
        <translation>Ces notes sont utilisables. Regardez d’abord les points ci-dessous.</translation>
    </message>
    <message>
        <source>These notes cannot be used yet.</source>
        <translation>Ces notes ne sont pas encore utilisables.</translation>
    </message>
    <message>
        <source>These notes have no split yet. {kept} Rows that cannot be used are left out.</source>
        <translation>Ces notes ne sont pas encore réparties. {kept} Les lignes inutilisables sont laissées de côté.</translation>
    </message>
    <message>
        <source>These settings</source>
        <translation>Ces réglages</translation>
    </message>
    <message>
        <source>This adapter reveals something about your notes. Keep it here unless that would not matter.</source>
        <translation>Cet adaptateur révèle quelque chose de vos notes. Gardez-le ici, sauf si cela n’a pas d’importance.</translation>
    </message>
    <message>
        <source>This becomes an entry of the record too, with your name and the time. It cannot be taken out again.</source>
        <translation>Ceci devient aussi une entrée du registre, avec votre nom et l’heure. On ne peut plus l’en retirer.</translation>
    </message>
    <message>
        <source>This cannot be undone.</source>
        <translation>C’est irréversible.</translation>
    </message>
    <message>
        <source>This cannot continue</source>
        <translation>Impossible de continuer</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>Cet ordinateur</translation>
    </message>
    <message>
        <source>This computer could not be kept awake: its system offers no way to ask for that. Set it so that it does not sleep by itself.</source>
        <translation>Cet ordinateur n’a pas pu être maintenu éveillé&#xa0;: son système n’offre aucun moyen de le demander. Réglez-le pour qu’il ne se mette pas en veille tout seul.</translation>
    </message>
    <message>
        <source>This computer is busy; the note is read when that is done.</source>
        <translation>Cet ordinateur est occupé&#xa0;; la note sera lue ensuite.</translation>
    </message>
    <message>
        <source>This computer is finishing something else first.</source>
        <translation>Cet ordinateur termine d’abord autre chose.</translation>
    </message>
    <message>
        <source>This computer is in no network now. Connect it, or try the federation out on this computer alone.</source>
        <translation>Cet ordinateur n’est sur aucun réseau. Connectez-le, ou essayez la fédération sur cet ordinateur seul.</translation>
    </message>
    <message>
        <source>This computer knows itself by other addresses: {known}. This one is fine if your network leads it here.</source>
        <translation>Cet ordinateur ne se connaît pas sous ce nom. C’est correct si ce nom mène ici sur votre réseau&#xa0;: {known}.</translation>
    </message>
    <message>
        <source>This computer only</source>
        <translation>Cet ordinateur seulement</translation>
    </message>
    <message>
        <source>This computer serves {federation}. Stop that first, to be a host of another federation.</source>
        <translation>Cet ordinateur héberge {federation}. Arrêtez-la d’abord, pour organiser une autre fédération.</translation>
    </message>
    <message>
        <source>This computer stays awake while it trains.</source>
        <translation>Cet ordinateur reste éveillé pendant l’entraînement.</translation>
    </message>
    <message>
        <source>This covers the adapter alone: the numbers beside it are exact.</source>
        <translation>Cela ne couvre que l’adaptateur&#xa0;: les nombres qui l’accompagnent sont exacts.</translation>
    </message>
    <message>
        <source>This entry is not as it was written, or the one before it is missing. What it says may be false.</source>
        <translation>Cette entrée n’est pas telle qu’elle a été écrite, ou celle qui la précède manque. Ce qu’elle dit peut être faux.</translation>
    </message>
    <message>
        <source>This file is not a types map.</source>
        <translation>Ce fichier n’est pas une table des types.</translation>
    </message>
    <message>
        <source>This is everything in it: no notes, no keys, no passwords, no names of files. It is saved on this computer, and is sent nowhere.</source>
        <translation>C’est tout ce qu’il contient&#xa0;: ni notes, ni clés, ni mots de passe, ni noms de fichiers. Il est enregistré sur cet ordinateur, et ne va nulle part de lui-même.</translation>
    </message>
    <message>
        <source>This is not a folder of notes, or some of them are missing.</source>
        <translation>Ce n’est pas un dossier de notes, ou il en manque.</translation>
    </message>
    <message>
        <source>This is not the folder of a language model.</source>
        <translation>Ce n’est pas le dossier d’un modèle de langage.</translation>
    </message>
    <message>
        <source>This language model is damaged.</source>
        <translation>Ce modèle de langage est endommagé.</translation>
    </message>
    <message>
        <source>This method measures updates on notes that all sites may read. None may be a patient&apos;s.</source>
        <translation>Cette méthode mesure les mises à jour sur des notes que tous les sites peuvent lire. Aucune ne doit être celle d’un patient.</translation>
    </message>
    <message>
        <source>This method shares numbers that noise does not protect. Choose another one, or leave this empty.</source>
        <translation>Cette méthode partage des nombres que le bruit ne protège pas. Choisissez-en une autre, ou laissez ceci vide.</translation>
    </message>
    <message>
        <source>This round failed here</source>
        <translation>Ce tour a échoué ici</translation>
    </message>
    <message>
        <source>This side could not be read.</source>
        <translation>Ce côté n’a pas pu être lu.</translation>
    </message>
    <message>
        <source>This site has already used it, and needs no new one.</source>
        <translation>Elle a déjà été utilisée&#xa0;; ce site n’a pas besoin d’une nouvelle.</translation>
    </message>
    <message>
        <source>This site is connected, and takes part as soon as the host confirms it. Nothing has left this computer.</source>
        <translation>Ce site est connecté, et participe dès que l’organisateur le confirme. Rien n’est sorti de cet ordinateur.</translation>
    </message>
    <message>
        <source>This site no longer answers the coordinator. What it holds stays on this computer, and it can join again with the same folder.</source>
        <translation>Ce site ne répond plus au coordinateur. Ce qu’il détient reste sur cet ordinateur, et il peut revenir avec le même dossier.</translation>
    </message>
    <message>
        <source>This site takes part again in the next round.</source>
        <translation>Ce site participe à nouveau au prochain tour.</translation>
    </message>
    <message>
        <source>This site tries again by itself.</source>
        <translation>Ce site réessaie de lui-même.</translation>
    </message>
    <message>
        <source>This site&apos;s model, {when}</source>
        <translation>Modèle de ce site, {when}</translation>
    </message>
    <message>
        <source>This site&apos;s name there</source>
        <translation>Nom de ce site dans la fédération</translation>
    </message>
    <message>
        <source>This site&apos;s notes are much like the federation&apos;s.</source>
        <translation>Les notes de ce site ressemblent beaucoup à celles de la fédération.</translation>
    </message>
    <message>
        <source>This takes some seconds.</source>
        <translation>Cela prend quelques secondes.</translation>
    </message>
    <message>
        <source>This update is {times:.1f} times as large as your last one. An error in the notes or a learning rate that is too high can cause this.</source>
        <translation>Cette mise à jour est {times:.1f} fois plus grande que votre précédente. Une erreur dans les notes ou un taux d’apprentissage trop élevé peut en être la cause.</translation>
    </message>
    <message>
        <source>Three invented sites train together on this computer, with bundled notes. You approve for one of them.</source>
        <translation>Trois sites inventés s’entraînent ensemble sur cet ordinateur, avec des notes fournies. Vous approuvez pour l’un d’eux.</translation>
    </message>
    <message>
        <source>Three sites learn together on this computer, from example notes that come with the program. You decide about the updates of one of them. It takes about {minutes} minutes in all; your first decision comes after about {first}.</source>
        <translation>Trois sites apprennent ensemble sur cet ordinateur, à partir de notes d’exemple fournies avec le programme. Vous décidez des mises à jour de l’un d’eux. Le tout dure environ {minutes} minutes&#xa0;; votre première décision vient après {first} environ.</translation>
    </message>
    <message>
        <source>Thursday</source>
        <translation>jeudi</translation>
    </message>
    <message>
        <source>Tick what you have seen above; then it can be sent.</source>
        <translation>Cochez ce que vous avez vu ci-dessus&#xa0;; l’envoi sera alors possible.</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Heure</translation>
    </message>
    <message>
        <source>To</source>
        <translation>Destinataire</translation>
    </message>
    <message>
        <source>To let it back in, invite it again.</source>
        <translation>Pour le laisser revenir, invitez-le de nouveau.</translation>
    </message>
    <message>
        <source>To score rounds with</source>
        <translation>Pour évaluer les tours</translation>
    </message>
    <message>
        <source>To test with</source>
        <translation>Pour le test</translation>
    </message>
    <message>
        <source>To train on</source>
        <translation>Pour l’entraînement</translation>
    </message>
    <message>
        <source>Tokens/s</source>
        <translation>Tokens/s</translation>
    </message>
    <message>
        <source>Too few notes were trained on or held out.</source>
        <translation>Trop peu de notes ont servi à l’entraînement ou ont été mises de côté.</translation>
    </message>
    <message>
        <source>Too few sites sent an adapter in this round. Its host can resume it; there is nothing to do here.</source>
        <translation>Trop peu de sites ont envoyé un adaptateur dans ce tour. L’organisateur peut la reprendre&#xa0;; il n’y a rien à faire ici.</translation>
    </message>
    <message>
        <source>Too few to tell.</source>
        <translation>Trop peu pour conclure.</translation>
    </message>
    <message>
        <source>Train</source>
        <translation>Entraînement</translation>
    </message>
    <message>
        <source>Train longer, for better scores (about {minutes} minutes)</source>
        <translation>Entraîner plus longtemps, pour de meilleurs scores (environ {minutes} minutes)</translation>
    </message>
    <message>
        <source>Trained on public texts</source>
        <translation>Entraîné sur des textes publics</translation>
    </message>
    <message>
        <source>Training</source>
        <translation>Entraînement</translation>
    </message>
    <message>
        <source>Training ended</source>
        <translation>Entraînement terminé</translation>
    </message>
    <message>
        <source>Training has just begun</source>
        <translation>L’entraînement vient de commencer</translation>
    </message>
    <message>
        <source>Training has stopped at its current step. If the round closes meanwhile, it closes without you.</source>
        <translation>L’entraînement s’est arrêté au pas en cours. Si le tour se clôt entre-temps, il se clôt sans vous.</translation>
    </message>
    <message>
        <source>Training is drawn here as soon as it starts on {notes}.</source>
        <translation>Le déroulement de l’entraînement s’affiche ici dès qu’il commence sur {notes}.</translation>
    </message>
    <message>
        <source>Training is drawn here once this computer takes part in a federation.</source>
        <translation>Le déroulement de l’entraînement s’affiche ici dès que cet ordinateur participe à une fédération.</translation>
    </message>
    <message>
        <source>Training is going well: errors are falling</source>
        <translation>L’entraînement va bien&#xa0;: les erreurs diminuent</translation>
    </message>
    <message>
        <source>Training is steady: errors stay about the same</source>
        <translation>L’entraînement est stable&#xa0;: les erreurs restent à peu près les mêmes</translation>
    </message>
    <message>
        <source>Training loss</source>
        <translation>Perte d’entraînement</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: it had {before} of 100 points before, and has {after} now.</source>
        <translation>L’entraînement l’a rendu moins bon sur {notes}&#xa0;: il avait {before} points sur 100 avant, il en a {after} maintenant.</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: of 100 it found {before} correctly before, and {after} after.</source>
        <translation>L’entraînement l’a rendu moins bon sur {notes}&#xa0;: sur 100, il en trouvait {before} correctement avant, {after} après.</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: {tasks}.</source>
        <translation>L’entraînement l’a rendu moins bon sur {notes}&#xa0;: {tasks}.</translation>
    </message>
    <message>
        <source>Training needs a look: errors are rising</source>
        <translation>L’entraînement est à surveiller&#xa0;: les erreurs augmentent</translation>
    </message>
    <message>
        <source>Training needs a look: errors on notes kept aside are rising</source>
        <translation>L’entraînement est à surveiller&#xa0;: les erreurs sur les notes mises de côté augmentent</translation>
    </message>
    <message>
        <source>Training notes by specialty</source>
        <translation>Notes d’entraînement par spécialité</translation>
    </message>
    <message>
        <source>Training on the processor takes all cores but one, so that the computer stays usable for other work. Where a GPU&apos;s memory is too small, training continues by itself with less at once.</source>
        <translation>L’entraînement sur le processeur utilise tous les cœurs sauf un, pour que l’ordinateur reste utilisable pour autre chose. Si la mémoire d’un GPU est trop petite, l’entraînement continue de lui-même avec moins à la fois.</translation>
    </message>
    <message>
        <source>Training started</source>
        <translation>Entraînement commencé</translation>
    </message>
    <message>
        <source>Training stops at its current step, is saved, and continues when you open the program again.</source>
        <translation>L’entraînement s’arrête au pas en cours, est enregistré, et continue quand vous rouvrez le programme.</translation>
    </message>
    <message>
        <source>Try a model</source>
        <translation>Essayer un modèle</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Essayer</translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation>Essayer sur une note</translation>
    </message>
    <message>
        <source>Tuesday</source>
        <translation>mardi</translation>
    </message>
    <message>
        <source>Two different people must approve.</source>
        <translation>Deux personnes différentes doivent approuver.</translation>
    </message>
    <message>
        <source>Types</source>
        <translation>Types</translation>
    </message>
    <message>
        <source>Types of entities</source>
        <translation>Types d’entités</translation>
    </message>
    <message>
        <source>Until then you can take it back.</source>
        <translation>D’ici là, vous pouvez annuler l’envoi.</translation>
    </message>
    <message>
        <source>Update accepted</source>
        <translation>Mise à jour acceptée</translation>
    </message>
    <message>
        <source>Update flagged as unusual</source>
        <translation>Mise à jour signalée comme inhabituelle</translation>
    </message>
    <message>
        <source>Update norm</source>
        <translation>Norme de la mise à jour</translation>
    </message>
    <message>
        <source>Update refused</source>
        <translation>Mise à jour refusée</translation>
    </message>
    <message>
        <source>Updates leave only at these times: {hours}.</source>
        <translation>Les mises à jour ne sortent qu’à ces heures&#xa0;: {hours}.</translation>
    </message>
    <message>
        <source>Upload</source>
        <translation>Envoi</translation>
    </message>
    <message>
        <source>Upload started</source>
        <translation>Envoi commencé</translation>
    </message>
    <message>
        <source>Uploading</source>
        <translation>Envoi en cours</translation>
    </message>
    <message>
        <source>Valid until {date}.</source>
        <translation>Valable jusqu’au {date}.</translation>
    </message>
    <message>
        <source>Validation loss</source>
        <translation>Perte de validation</translation>
    </message>
    <message>
        <source>Values cut off</source>
        <translation>Valeurs écrêtées</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Version</translation>
    </message>
    <message>
        <source>Versions</source>
        <translation>Versions</translation>
    </message>
    <message>
        <source>Wait for more sites</source>
        <translation>Attendre d’autres sites</translation>
    </message>
    <message>
        <source>Wait no longer for scores?</source>
        <translation>Ne plus attendre les scores&#xa0;?</translation>
    </message>
    <message>
        <source>Wait until you have compared six words</source>
        <translation>Attendent que vous ayez comparé six mots</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>En attente</translation>
    </message>
    <message>
        <source>Waiting for its decision</source>
        <translation>Ses responsables décident</translation>
    </message>
    <message>
        <source>Waiting for its turn</source>
        <translation>Attend son tour</translation>
    </message>
    <message>
        <source>Waiting for others</source>
        <translation>En attente des autres</translation>
    </message>
    <message>
        <source>Waiting for sites</source>
        <translation>En attente de sites</translation>
    </message>
    <message>
        <source>Waiting for the coordinator; nothing has left yet. It can no longer be taken back.</source>
        <translation>En attente du coordinateur&#xa0;; rien n’est encore sorti. L’envoi ne peut plus être annulé.</translation>
    </message>
    <message>
        <source>Waiting for the first site</source>
        <translation>En attente du premier site</translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation>En attente du premier pas</translation>
    </message>
    <message>
        <source>Waiting for the host</source>
        <translation>En attente de l’organisateur</translation>
    </message>
    <message>
        <source>Waiting for the host to confirm this site</source>
        <translation>En attente de la confirmation de ce site par l’organisateur</translation>
    </message>
    <message>
        <source>Waiting for the next round</source>
        <translation>En attente du prochain tour</translation>
    </message>
    <message>
        <source>Waiting for the round</source>
        <translation>Attend le tour</translation>
    </message>
    <message>
        <source>Waiting for you to confirm it</source>
        <translation>Attend votre confirmation</translation>
    </message>
    <message>
        <source>Waiting for your approval</source>
        <translation>En attente de votre approbation</translation>
    </message>
    <message>
        <source>Waiting for your decision</source>
        <translation>En attente de votre décision</translation>
    </message>
    <message>
        <source>Waiting to be confirmed</source>
        <translation>En attente de confirmation</translation>
    </message>
    <message>
        <source>Waits until {time}</source>
        <translation>Attend jusqu’à {time}</translation>
    </message>
    <message>
        <source>Wednesday</source>
        <translation>mercredi</translation>
    </message>
    <message>
        <source>Welcome. What would you like to do?</source>
        <translation>Bienvenue. Que souhaitez-vous faire&#xa0;?</translation>
    </message>
    <message>
        <source>What</source>
        <translation>Quoi</translation>
    </message>
    <message>
        <source>What an adapter may reveal must be rated &quot;{light}&quot; or better.</source>
        <translation>Ce qu’un adaptateur peut révéler doit être évalué « {light} » ou mieux.</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>Dans quel but</translation>
    </message>
    <message>
        <source>What has been done so far is kept.</source>
        <translation>Ce qui a été fait jusqu’ici est conservé.</translation>
    </message>
    <message>
        <source>What identifies it</source>
        <translation>Ce qui l’identifie</translation>
    </message>
    <message>
        <source>What is measured here is your adapter by itself. The sum can still reveal something about the notes.</source>
        <translation>Ce qui est mesuré ici est votre adaptateur seul. La somme peut tout de même révéler quelque chose des notes.</translation>
    </message>
    <message>
        <source>What it can train</source>
        <translation>Ce qu’il peut entraîner</translation>
    </message>
    <message>
        <source>What it has learned from your notes so far is not kept. You can start it again at any time.</source>
        <translation>Ce qu’il a appris de vos notes jusqu’ici n’est pas gardé. Vous pouvez recommencer à tout moment.</translation>
    </message>
    <message>
        <source>What it has, and what that suffices for. Nothing is sent.</source>
        <translation>Ce qu’il a, et à quoi cela suffit. Rien n’est envoyé.</translation>
    </message>
    <message>
        <source>What it may reveal</source>
        <translation>Ce qu’elle peut révéler</translation>
    </message>
    <message>
        <source>What it protects</source>
        <translation>Ce qu’il protège</translation>
    </message>
    <message>
        <source>What it shows</source>
        <translation>Ce que cela montre</translation>
    </message>
    <message>
        <source>What leaves</source>
        <translation>Ce qui sort</translation>
    </message>
    <message>
        <source>What rounding took from your earlier updates leaves with this one; what it takes now stays for the next.</source>
        <translation>Ce que l’arrondi a retiré de vos mises à jour précédentes sort avec celle-ci&#xa0;; ce qu’il retire maintenant reste pour la prochaine.</translation>
    </message>
    <message>
        <source>What was tried here found nothing in this adapter. That is no proof that there is nothing.</source>
        <translation>Ce qui a été essayé ici n’a rien trouvé dans cet adaptateur. Cela ne prouve pas qu’il n’y a rien.</translation>
    </message>
    <message>
        <source>What you see below is from before the connection was lost.</source>
        <translation>Ce qui figure ci-dessous date d’avant.</translation>
    </message>
    <message>
        <source>When</source>
        <translation>Quand</translation>
    </message>
    <message>
        <source>Where several files set the same limit, the strictest applies.</source>
        <translation>Si plusieurs fichiers fixent la même limite, la plus stricte s’applique.</translation>
    </message>
    <message>
        <source>Which notes were used</source>
        <translation>Notes utilisées</translation>
    </message>
    <message>
        <source>While this program is closed, nobody is notified.</source>
        <translation>Personne n’en est averti tant que ce programme est fermé.</translation>
    </message>
    <message>
        <source>Who</source>
        <translation>Qui</translation>
    </message>
    <message>
        <source>Who can reach it</source>
        <translation>Qui peut y accéder</translation>
    </message>
    <message>
        <source>With an adapter, what it finds is shown here, beside the model.</source>
        <translation>Avec un adaptateur, ce qu’il trouve s’affiche ici, à côté du modèle.</translation>
    </message>
    <message>
        <source>With one document or patient there are no intervals.</source>
        <translation>Avec un seul document ou patient, il n’y a pas d’intervalles.</translation>
    </message>
    <message>
        <source>With one seed there is no interval: it is not known how much another seed would change.</source>
        <translation>Avec une seule graine, il n’y a pas d’intervalle&#xa0;: on ne sait pas ce qu’une autre graine changerait.</translation>
    </message>
    <message>
        <source>With {names} each site is scored with the part that it keeps; otherwise one model is scored at all sites.</source>
        <translation>Avec {names}, chaque site est évalué avec la partie qu’il garde&#xa0;; sinon, un même modèle est évalué sur tous les sites.</translation>
    </message>
    <message>
        <source>Withdrawal of an approval</source>
        <translation>Retrait d’une approbation</translation>
    </message>
    <message>
        <source>Without a map:</source>
        <translation>Sans table&#xa0;:</translation>
    </message>
    <message>
        <source>Without labels</source>
        <translation>Sans annotations</translation>
    </message>
    <message>
        <source>Word for word</source>
        <translation>Mot pour mot</translation>
    </message>
    <message>
        <source>Word pairs shared</source>
        <translation>Paires communes</translation>
    </message>
    <message>
        <source>Word parts in a row, beyond the model without this round: at most {beyond}; on held-out notes {usual}. In {share:.0%} of {trained} notes ({low:.0%} to {high:.0%}) there were {run} or more.</source>
        <translation>Morceaux de mots d’affilée, de plus que le modèle sans ce tour&#xa0;: au plus {beyond}&#xa0;; sur des notes mises de côté&#xa0;: {usual}. Dans {share:.0%} des {trained} notes (de {low:.0%} à {high:.0%}), il y en avait {run} ou plus.</translation>
    </message>
    <message>
        <source>Words of your own, separated by commas. Each site says which of its types is which of these.</source>
        <translation>Vos propres mots, séparés par des virgules. Chaque site dit auquel d’entre eux correspond chacun de ses types.</translation>
    </message>
    <message>
        <source>Words shared</source>
        <translation>Mots communs</translation>
    </message>
    <message>
        <source>Words that all these sites see</source>
        <translation>Mots de tous les sites</translation>
    </message>
    <message>
        <source>Worse on {notes}, fairly sure</source>
        <translation>Moins bon sur {notes}, résultat assez sûr</translation>
    </message>
    <message>
        <source>Worse than alone</source>
        <translation>Moins bien que seul</translation>
    </message>
    <message>
        <source>Worse than alone counts the sites of all seeds whose loss is above that of training alone.</source>
        <translation>«&#xa0;Moins bien que seul&#xa0;» compte, sur toutes les graines, les sites dont la perte dépasse celle de l’entraînement seul.</translation>
    </message>
    <message>
        <source>Worse than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then</source>
        <translation>Moins bien que {earlier} après autant de tours ({rounds})&#xa0;: {now} sur 100 trouvés correctement, {then} à l’époque</translation>
    </message>
    <message>
        <source>Worst site</source>
        <translation>Site le moins bon</translation>
    </message>
    <message>
        <source>Worst site&apos;s F1</source>
        <translation>F1 du site le moins bon</translation>
    </message>
    <message>
        <source>Worst site&apos;s mean of tasks</source>
        <translation>Moyenne des tâches du site le moins bon</translation>
    </message>
    <message>
        <source>Write a reason first, for the people who read this record later.</source>
        <translation>Indiquez d’abord un motif, pour les personnes qui liront ce registre plus tard.</translation>
    </message>
    <message>
        <source>Write your name first, for the people who read this record later.</source>
        <translation>Indiquez d’abord votre nom, pour les personnes qui liront ce registre plus tard.</translation>
    </message>
    <message>
        <source>Written before it was done, so that nothing happens without a trace.</source>
        <translation>Inscrit avant l’action, pour que rien ne se fasse sans laisser de trace.</translation>
    </message>
    <message>
        <source>Written on {time} UTC. Times below are UTC. Paper proves nothing by itself: a signed export does.</source>
        <translation>Rédigé le {time} UTC. Les heures ci-dessous sont en UTC. Le papier ne prouve rien en lui-même&#xa0;: un export signé, si.</translation>
    </message>
    <message>
        <source>Written once it was done.</source>
        <translation>Inscrit une fois l’action faite.</translation>
    </message>
    <message>
        <source>Yes</source>
        <translation>Oui</translation>
    </message>
    <message>
        <source>You approved it</source>
        <translation>Vous l’avez approuvée</translation>
    </message>
    <message>
        <source>You can choose it under Try it, and save it from there.</source>
        <translation>Vous pouvez le choisir sous Essayer et l’enregistrer de là.</translation>
    </message>
    <message>
        <source>You confirm that you have looked through all entries up to number {number}.</source>
        <translation>Vous déclarez avoir parcouru toutes les entrées jusqu’au numéro {number}.</translation>
    </message>
    <message>
        <source>You decided not to send this one. Waiting for the next round.</source>
        <translation>Vous avez décidé de ne pas envoyer celle-ci. En attente du prochain tour.</translation>
    </message>
    <message>
        <source>You found no difference.</source>
        <translation>Vous n’avez trouvé aucune différence.</translation>
    </message>
    <message>
        <source>You have an invitation, and notes that may be learned from. They stay on this computer.</source>
        <translation>Vous avez une invitation, et des notes qui peuvent servir à l’apprentissage. Elles restent sur cet ordinateur.</translation>
    </message>
    <message>
        <source>You paused the work</source>
        <translation>Vous avez mis le travail en pause</translation>
    </message>
    <message>
        <source>You preferred {name}.</source>
        <translation>Vous avez préféré&#xa0;: {name}.</translation>
    </message>
    <message>
        <source>Your agreement</source>
        <translation>Votre accord</translation>
    </message>
    <message>
        <source>Your approval</source>
        <translation>Votre approbation</translation>
    </message>
    <message>
        <source>Your approval is taken back, and you are asked again at the next start.</source>
        <translation>Votre approbation est retirée, et la question vous est reposée au prochain démarrage.</translation>
    </message>
    <message>
        <source>Your approval was taken back because the program closed.</source>
        <translation>Votre approbation a été retirée parce que le programme s’est fermé.</translation>
    </message>
    <message>
        <source>Your approval was taken back because the work was stopped.</source>
        <translation>Votre approbation a été retirée parce que le travail a été arrêté.</translation>
    </message>
    <message>
        <source>Your correction (control variate): its change in this round leaves, and all these changes add up to it.</source>
        <translation>Votre correction (variable de contrôle)&#xa0;: sa modification dans ce tour sort, et toutes ces modifications s’additionnent pour la former.</translation>
    </message>
    <message>
        <source>Your decision is being recorded.</source>
        <translation>Votre décision est en cours d’enregistrement.</translation>
    </message>
    <message>
        <source>Your firewall must let sites connect to it.</source>
        <translation>Votre pare-feu doit y laisser entrer les sites.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for a person ({rule}).</source>
        <translation>La politique de votre hôpital exige une personne ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for no more than this program does ({rule}).</source>
        <translation>La politique de votre hôpital n’exige rien de plus que ce programme ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}).</source>
        <translation>La politique de votre hôpital exige deux personnes ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}): {name} has approved, and another must as well.</source>
        <translation>La politique de votre hôpital exige deux personnes ({rule})&#xa0;: {name} a approuvé, et une autre doit le faire aussi.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy does not let it leave ({rule}).</source>
        <translation>La politique de votre hôpital n’autorise pas sa sortie ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours).</source>
        <translation>La politique de votre hôpital ne laisse rien sortir avant {time} (hours).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours). You can take it back until then.</source>
        <translation>La politique de votre hôpital ne laisse rien sortir avant {time} (hours). D’ici là, vous pouvez annuler l’envoi.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets only {names} approve ({rule}).</source>
        <translation>La politique de votre hôpital n’autorise à approuver que {names} ({rule}).</translation>
    </message>
    <message>
        <source>Your invitation</source>
        <translation>Votre invitation</translation>
    </message>
    <message>
        <source>Your name there</source>
        <translation>Votre nom dans la fédération</translation>
    </message>
    <message>
        <source>Your notes</source>
        <translation>Vos notes</translation>
    </message>
    <message>
        <source>Your notes beside others&apos;</source>
        <translation>Vos notes à côté de celles des autres</translation>
    </message>
    <message>
        <source>Your notes hold none that the check of notes would find.</source>
        <translation>Vos notes n’en contiennent aucun que le contrôle des notes trouverait.</translation>
    </message>
    <message>
        <source>Your part</source>
        <translation>Votre part</translation>
    </message>
    <message>
        <source>Your part is done</source>
        <translation>Vous avez fait votre part</translation>
    </message>
    <message>
        <source>Your personal adapter: no byte of it is in this update.</source>
        <translation>Votre adaptateur personnel&#xa0;: aucun octet n’en figure dans cette mise à jour.</translation>
    </message>
    <message>
        <source>Your reason</source>
        <translation>Votre motif</translation>
    </message>
    <message>
        <source>Your system tells you of these while the window is not in front. They never hold text of a note.</source>
        <translation>Votre système vous les signale quand la fenêtre n’est pas au premier plan. Elles ne contiennent jamais le texte d’une note.</translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than allowed, so it was shortened.</source>
        <translation>Votre mise à jour du tour {round} a modifié le modèle plus que permis&#xa0;; elle a donc été raccourcie.</translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than updates usually do. It counted as it is.</source>
        <translation>Votre mise à jour du tour {round} a modifié le modèle plus que ne le font d’ordinaire les mises à jour. Elle a compté telle quelle.</translation>
    </message>
    <message>
        <source>Your update of round {round} points away from the others&apos;. It counted all the same.</source>
        <translation>Votre mise à jour du tour {round} s’écarte de la direction des autres. Elle a compté quand même.</translation>
    </message>
    <message>
        <source>Your update of round {round} was not combined: others were nearer to one another.</source>
        <translation>Votre mise à jour du tour {round} n’a pas été combinée&#xa0;: d’autres étaient plus proches entre elles.</translation>
    </message>
    <message>
        <source>a person must approve</source>
        <translation>une personne doit approuver</translation>
    </message>
    <message>
        <source>a rule</source>
        <translation>une règle</translation>
    </message>
    <message>
        <source>a test environment</source>
        <translation>un environnement de test</translation>
    </message>
    <message>
        <source>a test: its results do not count</source>
        <translation>un test&#xa0;: ses résultats ne comptent pas</translation>
    </message>
    <message>
        <source>a trained adapter of rank {rank}</source>
        <translation>un adaptateur entraîné de rang {rank}</translation>
    </message>
    <message>
        <source>about {time}</source>
        <translation>environ {time}</translation>
    </message>
    <message>
        <source>adapter</source>
        <translation>adaptateur</translation>
    </message>
    <message>
        <source>adapter after training</source>
        <translation>adaptateur après l’entraînement</translation>
    </message>
    <message>
        <source>addresses</source>
        <translation>adresses</translation>
    </message>
    <message>
        <source>after the first site</source>
        <translation>après le premier site</translation>
    </message>
    <message>
        <source>after the opening</source>
        <translation>après l’ouverture</translation>
    </message>
    <message>
        <source>after the question</source>
        <translation>après la question</translation>
    </message>
    <message>
        <source>after training</source>
        <translation>après l’entraînement</translation>
    </message>
    <message>
        <source>alike</source>
        <translation>semblables</translation>
    </message>
    <message>
        <source>all sites&apos; test notes</source>
        <translation>les notes de test de tous les sites</translation>
    </message>
    <message>
        <source>an adapter was trained</source>
        <translation>un adaptateur a été entraîné</translation>
    </message>
    <message>
        <source>and {n} more</source>
        <translation>et {n} de plus</translation>
    </message>
    <message>
        <source>another type on the other side</source>
        <translation>autre type de l’autre côté</translation>
    </message>
    <message>
        <source>approved</source>
        <translation>approuvée</translation>
    </message>
    <message>
        <source>as combined drift was {drift}</source>
        <translation>car la dérive combinée était de {drift}</translation>
    </message>
    <message>
        <source>as combined drift was {drift}, above {level:g}</source>
        <translation>car la dérive combinée était de {drift}, au-dessus de {level:g}</translation>
    </message>
    <message>
        <source>as combined drift was {drift}, below {level:g}</source>
        <translation>car la dérive combinée était de {drift}, au-dessous de {level:g}</translation>
    </message>
    <message>
        <source>as the method plans</source>
        <translation>comme la méthode le prévoit</translation>
    </message>
    <message>
        <source>as usual</source>
        <translation>comme d’habitude</translation>
    </message>
    <message>
        <source>attempt {number}</source>
        <translation>tentative {number}</translation>
    </message>
    <message>
        <source>before training</source>
        <translation>avant l’entraînement</translation>
    </message>
    <message>
        <source>better</source>
        <translation>mieux</translation>
    </message>
    <message>
        <source>bytes of {part}</source>
        <translation>octets de {part}</translation>
    </message>
    <message>
        <source>change of the correction (control variate)</source>
        <translation>modification de la correction (variable de contrôle)</translation>
    </message>
    <message>
        <source>changed</source>
        <translation>modifié</translation>
    </message>
    <message>
        <source>chosen</source>
        <translation>choisi</translation>
    </message>
    <message>
        <source>closes now</source>
        <translation>clôture imminente</translation>
    </message>
    <message>
        <source>closes {time}</source>
        <translation>clôture&#xa0;: {time}</translation>
    </message>
    <message>
        <source>closes {time}, in {left}</source>
        <translation>clôture&#xa0;: {time}, dans {left}</translation>
    </message>
    <message>
        <source>combined</source>
        <translation>combinée</translation>
    </message>
    <message>
        <source>coordinator</source>
        <translation>le coordinateur</translation>
    </message>
    <message>
        <source>count of {name}</source>
        <translation>effectif de {name}</translation>
    </message>
    <message>
        <source>dates of birth</source>
        <translation>dates de naissance</translation>
    </message>
    <message>
        <source>difference, 16 bits</source>
        <translation>différence, 16 bits</translation>
    </message>
    <message>
        <source>difference, 4 bits</source>
        <translation>différence, 4 bits</translation>
    </message>
    <message>
        <source>difference, 8 bits</source>
        <translation>différence, 8 bits</translation>
    </message>
    <message>
        <source>e-mail addresses</source>
        <translation>adresses électroniques</translation>
    </message>
    <message>
        <source>earlier</source>
        <translation>antérieure</translation>
    </message>
    <message>
        <source>earlier, model</source>
        <translation>antérieure, modèle</translation>
    </message>
    <message>
        <source>earlier, validation</source>
        <translation>antérieure, validation</translation>
    </message>
    <message>
        <source>entities of type {name}</source>
        <translation>entités de type {name}</translation>
    </message>
    <message>
        <source>entry of this record</source>
        <translation>entrée de ce registre</translation>
    </message>
    <message>
        <source>epsilon {epsilon} of each whole site (delta {delta}), noise {noise} x clip {clip}, added by the {who}</source>
        <translation>epsilon {epsilon} pour chaque site entier (delta {delta}), bruit {noise} x écrêtage {clip}, ajouté par&#xa0;: {who}</translation>
    </message>
    <message>
        <source>evaluate</source>
        <translation>évaluation</translation>
    </message>
    <message>
        <source>example notes</source>
        <translation>des notes d’exemple</translation>
    </message>
    <message>
        <source>factor {factor} only, {size}</source>
        <translation>facteur {factor} seulement, {size}</translation>
    </message>
    <message>
        <source>falling</source>
        <translation>en baisse</translation>
    </message>
    <message>
        <source>federation</source>
        <translation>fédération</translation>
    </message>
    <message>
        <source>fedmed-desktop {version}. Research software under the Apache License 2.0. Not a medical device; it makes no medical claims.</source>
        <translation>fedmed-desktop {version}. Logiciel de recherche sous licence Apache 2.0. Ce n’est pas un dispositif médical&#xa0;; il ne fait aucune allégation médicale.</translation>
    </message>
    <message>
        <source>file</source>
        <translation>fichier</translation>
    </message>
    <message>
        <source>final</source>
        <translation>final</translation>
    </message>
    <message>
        <source>final adapter</source>
        <translation>adaptateur final</translation>
    </message>
    <message>
        <source>first round: nothing to compare with yet</source>
        <translation>premier tour&#xa0;: rien à quoi comparer pour l’instant</translation>
    </message>
    <message>
        <source>first token after {time}</source>
        <translation>premier token après {time}</translation>
    </message>
    <message>
        <source>higher</source>
        <translation>plus haut</translation>
    </message>
    <message>
        <source>host</source>
        <translation>organisateur</translation>
    </message>
    <message>
        <source>how many entities of each type your training notes have</source>
        <translation>combien d’entités de chaque type contiennent vos notes d’entraînement</translation>
    </message>
    <message>
        <source>how many notes it was trained on, and how large the errors were (loss)</source>
        <translation>sur combien de notes il a été entraîné, et l’ampleur des erreurs (perte)</translation>
    </message>
    <message>
        <source>how many of your training notes are of each specialty</source>
        <translation>combien de vos notes d’entraînement relèvent de chaque spécialité</translation>
    </message>
    <message>
        <source>how much each part of the adapter mattered in training (one number for each matrix)</source>
        <translation>l’importance de chaque partie de l’adaptateur pendant l’entraînement (un nombre par matrice)</translation>
    </message>
    <message>
        <source>how much the model finds correctly in your notes (scores)</source>
        <translation>ce que le modèle trouve correctement dans vos notes (scores)</translation>
    </message>
    <message>
        <source>if {conditions}, </source>
        <translation>si {conditions}, </translation>
    </message>
    <message>
        <source>ignored</source>
        <translation>ignoré</translation>
    </message>
    <message>
        <source>importance of {name}, by layer</source>
        <translation>importance de {name}, par couche</translation>
    </message>
    <message>
        <source>invitation</source>
        <translation>invitation</translation>
    </message>
    <message>
        <source>it may not leave</source>
        <translation>aucune sortie n’est permise</translation>
    </message>
    <message>
        <source>its loss on the federation&apos;s public notes</source>
        <translation>sa perte sur les notes publiques de la fédération</translation>
    </message>
    <message>
        <source>kept</source>
        <translation>gardée</translation>
    </message>
    <message>
        <source>kept at this site</source>
        <translation>gardée sur ce site</translation>
    </message>
    <message>
        <source>key</source>
        <translation>clé</translation>
    </message>
    <message>
        <source>large</source>
        <translation>grande</translation>
    </message>
    <message>
        <source>less than a minute</source>
        <translation>moins d’une minute</translation>
    </message>
    <message>
        <source>look twice</source>
        <translation>à regarder de près</translation>
    </message>
    <message>
        <source>looks for {types}</source>
        <translation>cherche {types}</translation>
    </message>
    <message>
        <source>loss on shared notes</source>
        <translation>perte sur les notes communes</translation>
    </message>
    <message>
        <source>loss {value:.2f}</source>
        <translation>perte {value:.2f}</translation>
    </message>
    <message>
        <source>lower</source>
        <translation>plus bas</translation>
    </message>
    <message>
        <source>lowered in round {round}: {before} to {after}</source>
        <translation>abaissé au tour {round}&#xa0;: de {before} à {after}</translation>
    </message>
    <message>
        <source>masked adapter</source>
        <translation>adaptateur masqué</translation>
    </message>
    <message>
        <source>model</source>
        <translation>modèle</translation>
    </message>
    <message>
        <source>names in headers</source>
        <translation>noms dans les en-têtes</translation>
    </message>
    <message>
        <source>never sent</source>
        <translation>jamais envoyé</translation>
    </message>
    <message>
        <source>no difference shown</source>
        <translation>aucune différence montrée</translation>
    </message>
    <message>
        <source>no entities</source>
        <translation>aucune entité</translation>
    </message>
    <message>
        <source>no more than this program asks for by itself</source>
        <translation>rien de plus que ce que ce programme exige de lui-même</translation>
    </message>
    <message>
        <source>no name</source>
        <translation>aucun nom</translation>
    </message>
    <message>
        <source>nobody</source>
        <translation>personne</translation>
    </message>
    <message>
        <source>nobody in time</source>
        <translation>personne à temps</translation>
    </message>
    <message>
        <source>none</source>
        <translation>aucun</translation>
    </message>
    <message>
        <source>none to test with</source>
        <translation>aucune pour le test</translation>
    </message>
    <message>
        <source>none yet</source>
        <translation>aucun pour l’instant</translation>
    </message>
    <message>
        <source>none, scores only</source>
        <translation>aucun, scores seulement</translation>
    </message>
    <message>
        <source>none: it is the first</source>
        <translation>aucun&#xa0;: c’est la première</translation>
    </message>
    <message>
        <source>not clear</source>
        <translation>incertain</translation>
    </message>
    <message>
        <source>not known while the host&apos;s computer cannot be reached</source>
        <translation>inconnu tant que l’ordinateur de l’organisateur est injoignable</translation>
    </message>
    <message>
        <source>not measured</source>
        <translation>non mesuré</translation>
    </message>
    <message>
        <source>not read</source>
        <translation>non lu</translation>
    </message>
    <message>
        <source>not stated</source>
        <translation>non indiquée</translation>
    </message>
    <message>
        <source>not trained</source>
        <translation>non entraîné</translation>
    </message>
    <message>
        <source>not: {type}</source>
        <translation>pas&#xa0;: {type}</translation>
    </message>
    <message>
        <source>note {done:,} of {total:,}</source>
        <translation>note {done:,} sur {total:,}</translation>
    </message>
    <message>
        <source>notes never used for training</source>
        <translation>des notes qu’aucun entraînement n’a vues</translation>
    </message>
    <message>
        <source>notes of specialty {name}</source>
        <translation>notes de la spécialité {name}</translation>
    </message>
    <message>
        <source>nothing found</source>
        <translation>rien trouvé</translation>
    </message>
    <message>
        <source>now</source>
        <translation>maintenant</translation>
    </message>
    <message>
        <source>one seed, no interval</source>
        <translation>une seule graine, pas d’intervalle</translation>
    </message>
    <message>
        <source>only here</source>
        <translation>seulement ici</translation>
    </message>
    <message>
        <source>only scores are asked for</source>
        <translation>seuls des scores sont demandés</translation>
    </message>
    <message>
        <source>other sites</source>
        <translation>autres sites</translation>
    </message>
    <message>
        <source>performance</source>
        <translation>performance</translation>
    </message>
    <message>
        <source>phone numbers</source>
        <translation>numéros de téléphone</translation>
    </message>
    <message>
        <source>plan</source>
        <translation>plan</translation>
    </message>
    <message>
        <source>postcodes</source>
        <translation>codes postaux</translation>
    </message>
    <message>
        <source>raised in round {round}: {before} to {after}</source>
        <translation>relevé au tour {round}&#xa0;: de {before} à {after}</translation>
    </message>
    <message>
        <source>real use</source>
        <translation>utilisation réelle</translation>
    </message>
    <message>
        <source>real work: its results count</source>
        <translation>travail réel&#xa0;: ses résultats comptent</translation>
    </message>
    <message>
        <source>received</source>
        <translation>reçue</translation>
    </message>
    <message>
        <source>received by the coordinator</source>
        <translation>reçue par le coordinateur</translation>
    </message>
    <message>
        <source>record numbers</source>
        <translation>numéros de dossier</translation>
    </message>
    <message>
        <source>refused</source>
        <translation>refusée</translation>
    </message>
    <message>
        <source>refused by the coordinator</source>
        <translation>refusée par le coordinateur</translation>
    </message>
    <message>
        <source>released for sending</source>
        <translation>autorisée à l’envoi</translation>
    </message>
    <message>
        <source>reveals something</source>
        <translation>révèle quelque chose</translation>
    </message>
    <message>
        <source>rising</source>
        <translation>en hausse</translation>
    </message>
    <message>
        <source>round</source>
        <translation>tour</translation>
    </message>
    <message>
        <source>round closed</source>
        <translation>tour clos</translation>
    </message>
    <message>
        <source>round {number}</source>
        <translation>tour {number}</translation>
    </message>
    <message>
        <source>round {round} step {step:,}</source>
        <translation>tour {round}, pas {step:,}</translation>
    </message>
    <message>
        <source>round {round}, layer {layer}: {value}</source>
        <translation>tour {round}, couche {layer}&#xa0;: {value}</translation>
    </message>
    <message>
        <source>round {round}, step {step:,}</source>
        <translation>tour {round}, pas {step:,}</translation>
    </message>
    <message>
        <source>rule</source>
        <translation>règle</translation>
    </message>
    <message>
        <source>same</source>
        <translation>identique</translation>
    </message>
    <message>
        <source>scores of the final adapter</source>
        <translation>scores de l’adaptateur final</translation>
    </message>
    <message>
        <source>scores only</source>
        <translation>scores seulement</translation>
    </message>
    <message>
        <source>seen {repeats} times: {exposure:.1f} bits ({low:.1f} to {high:.1f}, at most {most:.0f})</source>
        <translation>vues {repeats} fois&#xa0;: {exposure:.1f} bits ({low:.1f} à {high:.1f}, au plus {most:.0f})</translation>
    </message>
    <message>
        <source>semantic</source>
        <translation>sémantique</translation>
    </message>
    <message>
        <source>sending</source>
        <translation>envoi</translation>
    </message>
    <message>
        <source>sending soon</source>
        <translation>envoi imminent</translation>
    </message>
    <message>
        <source>sha256 of everything that is decided on</source>
        <translation>sha256 de tout ce sur quoi porte la décision</translation>
    </message>
    <message>
        <source>sha256 of the update</source>
        <translation>sha256 de la mise à jour</translation>
    </message>
    <message>
        <source>sha256 of {part}</source>
        <translation>sha256 de {part}</translation>
    </message>
    <message>
        <source>site</source>
        <translation>site</translation>
    </message>
    <message>
        <source>sites</source>
        <translation>les sites</translation>
    </message>
    <message>
        <source>small</source>
        <translation>petite</translation>
    </message>
    <message>
        <source>smoothed</source>
        <translation>lissée</translation>
    </message>
    <message>
        <source>social security numbers</source>
        <translation>numéros de sécurité sociale</translation>
    </message>
    <message>
        <source>somewhat different</source>
        <translation>un peu différentes</translation>
    </message>
    <message>
        <source>started {time}</source>
        <translation>début&#xa0;: {time}</translation>
    </message>
    <message>
        <source>steady</source>
        <translation>stable</translation>
    </message>
    <message>
        <source>step {done:,} of {total:,}</source>
        <translation>pas {done:,} sur {total:,}</translation>
    </message>
    <message>
        <source>taken</source>
        <translation>retenu</translation>
    </message>
    <message>
        <source>taken back in time</source>
        <translation>annulée à temps</translation>
    </message>
    <message>
        <source>the common model</source>
        <translation>le modèle commun</translation>
    </message>
    <message>
        <source>the coordinator</source>
        <translation>le coordinateur</translation>
    </message>
    <message>
        <source>the example notes</source>
        <translation>les notes d’exemple</translation>
    </message>
    <message>
        <source>the federation is a test</source>
        <translation>la fédération est un test</translation>
    </message>
    <message>
        <source>the federation is in production</source>
        <translation>la fédération est en production</translation>
    </message>
    <message>
        <source>the federation is {value}</source>
        <translation>la fédération est {value}</translation>
    </message>
    <message>
        <source>the method is {value}</source>
        <translation>la méthode est {value}</translation>
    </message>
    <message>
        <source>the note denies it</source>
        <translation>la note le nie</translation>
    </message>
    <message>
        <source>the policy</source>
        <translation>la politique</translation>
    </message>
    <message>
        <source>the policy has changed</source>
        <translation>la politique a changé</translation>
    </message>
    <message>
        <source>the program</source>
        <translation>le programme</translation>
    </message>
    <message>
        <source>the program ended before the approval was in effect</source>
        <translation>le programme s’est terminé avant que l’approbation prenne effet</translation>
    </message>
    <message>
        <source>the rank is at most {value}</source>
        <translation>le rang est d’au plus {value}</translation>
    </message>
    <message>
        <source>the rank is over {value}</source>
        <translation>le rang dépasse {value}</translation>
    </message>
    <message>
        <source>the score, of 100, changes by less than {value}</source>
        <translation>le score (sur 100) change de moins de {value}</translation>
    </message>
    <message>
        <source>the score, of 100, changes by {value} or more</source>
        <translation>le score (sur 100) change de {value} ou plus</translation>
    </message>
    <message>
        <source>the update is at most {value} times as large as the last one</source>
        <translation>la mise à jour est au plus {value} fois aussi grande que la précédente</translation>
    </message>
    <message>
        <source>the update is more than {value} times as large as the last one</source>
        <translation>la mise à jour est plus de {value} fois aussi grande que la précédente</translation>
    </message>
    <message>
        <source>the work was stopped</source>
        <translation>le travail a été arrêté</translation>
    </message>
    <message>
        <source>this program</source>
        <translation>ce programme</translation>
    </message>
    <message>
        <source>to {address}</source>
        <translation>à {address}</translation>
    </message>
    <message>
        <source>tokens/s</source>
        <translation>tokens/s</translation>
    </message>
    <message>
        <source>too late</source>
        <translation>trop tard</translation>
    </message>
    <message>
        <source>train</source>
        <translation>entraînement</translation>
    </message>
    <message>
        <source>training</source>
        <translation>entraînement</translation>
    </message>
    <message>
        <source>update</source>
        <translation>mise à jour</translation>
    </message>
    <message>
        <source>validation</source>
        <translation>validation</translation>
    </message>
    <message>
        <source>validation loss {loss}</source>
        <translation>perte de validation {loss}</translation>
    </message>
    <message>
        <source>very different</source>
        <translation>très différentes</translation>
    </message>
    <message>
        <source>waiting</source>
        <translation>en attente</translation>
    </message>
    <message>
        <source>waiting for a decision</source>
        <translation>attend une décision</translation>
    </message>
    <message>
        <source>what</source>
        <translation>quoi</translation>
    </message>
    <message>
        <source>what it may reveal is rated &quot;{value}&quot; or worse</source>
        <translation>ce qu’il peut révéler est évalué « {value} » ou pire</translation>
    </message>
    <message>
        <source>without progress</source>
        <translation>sans progression</translation>
    </message>
    <message>
        <source>worse</source>
        <translation>moins bien</translation>
    </message>
    <message>
        <source>your notes</source>
        <translation>vos notes</translation>
    </message>
    <message>
        <source>your notes kept aside</source>
        <translation>vos notes mises de côté</translation>
    </message>
    <message>
        <source>your site</source>
        <translation>votre site</translation>
    </message>
    <message>
        <source>{adapter} is better than the base model: {tasks}.</source>
        <translation>{adapter} est meilleur que le modèle de base&#xa0;: {tasks}.</translation>
    </message>
    <message>
        <source>{adapter} is worse than the base model: {tasks}.</source>
        <translation>{adapter} est moins bon que le modèle de base&#xa0;: {tasks}.</translation>
    </message>
    <message>
        <source>{adapter}, for the base {model}.</source>
        <translation>{adapter}, pour le modèle de base {model}.</translation>
    </message>
    <message>
        <source>{adapter}, merged into the base model {model}.</source>
        <translation>{adapter}, fusionné dans le modèle de base {model}.</translation>
    </message>
    <message>
        <source>{after} of 100</source>
        <translation>{after} sur 100</translation>
    </message>
    <message>
        <source>{ahead} was better in {more} of {all}, {behind} in {less}; no difference in {neither}.</source>
        <translation>{ahead} a été meilleur dans {more} cas sur {all}, {behind} dans {less}&#xa0;; aucune différence dans {neither}.</translation>
    </message>
    <message>
        <source>{before} → {after} of 100</source>
        <translation>{before} → {after} sur 100</translation>
    </message>
    <message>
        <source>{before}, now {value}, {word}</source>
        <translation>{before} avant, {value} maintenant, {word}</translation>
    </message>
    <message>
        <source>{cell} has no result and is in no mean: {reason}</source>
        <translation>{cell} n’a pas de résultat et n’entre dans aucune moyenne&#xa0;: {reason}</translation>
    </message>
    <message>
        <source>{change}, {reason}</source>
        <translation>{change}, {reason}</translation>
    </message>
    <message>
        <source>{count:,} to test with</source>
        <translation>{count:,} pour le test</translation>
    </message>
    <message>
        <source>{count} expected before round {round}</source>
        <translation>{count} attendus avant le tour {round}</translation>
    </message>
    <message numerus="yes">
        <source>{count} of %n site(s) connected.</source>
        <translation>
            <numerusform>Sites connectés&#xa0;: {count} sur %n.</numerusform>
            <numerusform>Sites connectés&#xa0;: {count} sur %n.</numerusform>
        </translation>
    </message>
    <message>
        <source>{count} of {all}</source>
        <translation>{count} sur {all}</translation>
    </message>
    <message>
        <source>{days} {opens} to {closes}</source>
        <translation>{days} de {opens} à {closes}</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} sur {total}</translation>
    </message>
    <message>
        <source>{done} of {total} answers</source>
        <translation>Réponses&#xa0;: {done} sur {total}</translation>
    </message>
    <message>
        <source>{done} of {total} sites are scored.</source>
        <translation>Sites évalués&#xa0;: {done} sur {total}.</translation>
    </message>
    <message>
        <source>{drift} not measured yet</source>
        <translation>{drift}&#xa0;: pas encore mesurée</translation>
    </message>
    <message>
        <source>{drift} not measured, because no counts are shared</source>
        <translation>{drift}&#xa0;: non mesurée, car aucun effectif n’est partagé</translation>
    </message>
    <message>
        <source>{earlier} learned other tasks or types: its scores cannot be compared, its curves can</source>
        <translation>{earlier} a appris d’autres tâches ou types&#xa0;: ses scores ne sont pas comparables, ses courbes oui</translation>
    </message>
    <message numerus="yes">
        <source>{federation}, %n round(s), {day}</source>
        <translation>
            <numerusform>{federation}, %n tour, {day}</numerusform>
            <numerusform>{federation}, %n tours, {day}</numerusform>
        </translation>
    </message>
    <message>
        <source>{file}, row {row}</source>
        <translation>{file}, ligne {row}</translation>
    </message>
    <message>
        <source>{found} on {notes}</source>
        <translation>{found} sur {notes}</translation>
    </message>
    <message>
        <source>{hours} h</source>
        <translation>{hours} h</translation>
    </message>
    <message>
        <source>{hours} h {minutes:02d}</source>
        <translation>{hours} h {minutes:02d}</translation>
    </message>
    <message>
        <source>{hours} h {rest:02d} min</source>
        <translation>{hours} h {rest:02d} min</translation>
    </message>
    <message>
        <source>{joined} of {expected} sites have joined</source>
        <translation>Sites participants&#xa0;: {joined} sur {expected}</translation>
    </message>
    <message>
        <source>{kept:,} of {all:,} marked entities count.</source>
        <translation>{kept:,} entités annotées sur {all:,} comptent.</translation>
    </message>
    <message>
        <source>{key} is locked by this computer&apos;s administrator: what {path} says about it does not count.</source>
        <translation>{key} est verrouillé par l’administrateur de cet ordinateur&#xa0;: ce que {path} en dit ne compte pas.</translation>
    </message>
    <message>
        <source>{list} and {count} more</source>
        <translation>{list} et {count} de plus</translation>
    </message>
    <message>
        <source>{list}; and {count} more</source>
        <translation>{list}&#xa0;; et {count} de plus</translation>
    </message>
    <message>
        <source>{low} to {high}</source>
        <translation>{low} à {high}</translation>
    </message>
    <message>
        <source>{measure}, categories</source>
        <translation>{measure}, catégories</translation>
    </message>
    <message>
        <source>{measure}, lenient</source>
        <translation>{measure}, tolérant</translation>
    </message>
    <message>
        <source>{minutes} min</source>
        <translation>{minutes} min</translation>
    </message>
    <message>
        <source>{minutes}:{rest:02d} min</source>
        <translation>{minutes}:{rest:02d} min</translation>
    </message>
    <message>
        <source>{missing:,} of {all:,} cells have not run yet; means are over those that have.</source>
        <translation>Cellules pas encore exécutées&#xa0;: {missing:,} sur {all:,}&#xa0;; les moyennes portent sur les autres.</translation>
    </message>
    <message>
        <source>{modifier}, {kind} of {mention}</source>
        <translation>{modifier}, {kind} de {mention}</translation>
    </message>
    <message>
        <source>{most} (the largest)</source>
        <translation>{most} (la plus grande)</translation>
    </message>
    <message>
        <source>{n:,} of {notes}</source>
        <translation>{notes} ({n:,})</translation>
    </message>
    <message>
        <source>{name} (a new key)</source>
        <translation>{name} (nouvelle clé)</translation>
    </message>
    <message>
        <source>{name} (as a host)</source>
        <translation>{name} (organisateur)</translation>
    </message>
    <message>
        <source>{name} is more frequent here: {own} against {federation} in the federation.</source>
        <translation>{name} est plus fréquent ici&#xa0;: {own} contre {federation} dans la fédération.</translation>
    </message>
    <message>
        <source>{name} is rarer here: {own} against {federation}.</source>
        <translation>{name} est plus rare ici&#xa0;: {own} contre {federation}.</translation>
    </message>
    <message>
        <source>{name} may approve in place of {other} from {first} to {last}.</source>
        <translation>{name} peut approuver à la place de {other} du {first} au {last}.</translation>
    </message>
    <message>
        <source>{now}; {before} before.</source>
        <translation>{now}, avant {before}.</translation>
    </message>
    <message>
        <source>{n} characters · {what}</source>
        <translation>{n} caractères · {what}</translation>
    </message>
    <message>
        <source>{n} of 100</source>
        <translation>{n} sur 100</translation>
    </message>
    <message>
        <source>{n} of 100 found correctly</source>
        <translation>{n} sur 100 trouvés correctement</translation>
    </message>
    <message>
        <source>{reason} (policy: {rule})</source>
        <translation>{reason} (politique&#xa0;: {rule})</translation>
    </message>
    <message>
        <source>{relative:.1f} times as likely as invented ones of the same form, {low:.1f} to {high:.1f} (no leak: 1); {strings} found, the most {largest:,.1f} times.</source>
        <translation>{relative:.1f} fois plus probables que des éléments inventés de même forme, {low:.1f} à {high:.1f} (sans fuite&#xa0;: 1)&#xa0;; {strings} trouvés, au maximum {largest:,.1f} fois.</translation>
    </message>
    <message>
        <source>{scores}, mean of {n} tasks</source>
        <translation>{scores}, moyenne de {n} tâches</translation>
    </message>
    <message>
        <source>{seconds:.0f} s</source>
        <translation>{seconds:.0f} s</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} s</translation>
    </message>
    <message>
        <source>{sent} of {asked} sites have sent</source>
        <translation>Sites ayant envoyé&#xa0;: {sent} sur {asked}</translation>
    </message>
    <message>
        <source>{share} of the full model</source>
        <translation>{share} du modèle complet</translation>
    </message>
    <message>
        <source>{sites} (you)</source>
        <translation>{sites} (vous)</translation>
    </message>
    <message>
        <source>{sites} sites</source>
        <translation>{sites} sites</translation>
    </message>
    <message>
        <source>{sites} sites, {asked} asked per round</source>
        <translation>{sites} sites, {asked} sollicités par tour</translation>
    </message>
    <message>
        <source>{site} alone</source>
        <translation>{site} seul</translation>
    </message>
    <message>
        <source>{site} can no longer take part.</source>
        <translation>{site} ne peut plus participer.</translation>
    </message>
    <message>
        <source>{site} computes first; the sites share this computer.</source>
        <translation>{site} calcule d’abord&#xa0;; les sites partagent cet ordinateur.</translation>
    </message>
    <message>
        <source>{site} is admitted.</source>
        <translation>{site} est admis.</translation>
    </message>
    <message>
        <source>{some} of {all}</source>
        <translation>{some} sur {all}</translation>
    </message>
    <message>
        <source>{speed} tokens per second</source>
        <translation>{speed} tokens par seconde</translation>
    </message>
    <message>
        <source>{task} from {before} to {after} of 100</source>
        <translation>{task} de {before} à {after} sur 100</translation>
    </message>
    <message>
        <source>{task}, combined model, since round {round}</source>
        <translation>{task}, modèle combiné, depuis le tour {round}</translation>
    </message>
    <message>
        <source>{task}, for the federation</source>
        <translation>{task}, pour la fédération</translation>
    </message>
    <message>
        <source>{times:.1f}x your last</source>
        <translation>{times:.1f} fois votre précédente</translation>
    </message>
    <message>
        <source>{times:.2f} times</source>
        <translation>{times:.2f} fois</translation>
    </message>
    <message>
        <source>{time} in total</source>
        <translation>{time} au total</translation>
    </message>
    <message>
        <source>{time} left</source>
        <translation>reste {time}</translation>
    </message>
    <message>
        <source>{title} chart</source>
        <translation>Graphique&#xa0;: {title}</translation>
    </message>
    <message>
        <source>{type}, if the federation has it</source>
        <translation>{type}, si la fédération l’a</translation>
    </message>
    <message>
        <source>{type}, not part of the federation</source>
        <translation>{type}, absent de la fédération</translation>
    </message>
    <message>
        <source>{used} of {total} GB</source>
        <translation>{used} sur {total} Go</translation>
    </message>
    <message>
        <source>{value} ({low} to {high})</source>
        <translation>{value} ({low} à {high})</translation>
    </message>
    <message>
        <source>{value}, rank {ranks}</source>
        <translation>{value}, rang {ranks}</translation>
    </message>
    <message>
        <source>{verdict}. It reveals something about your notes: consider keeping it</source>
        <translation>{verdict}. Il révèle quelque chose de vos notes&#xa0;: envisagez de le garder</translation>
    </message>
    <message>
        <source>{verdict}: consider keeping it</source>
        <translation>{verdict}&#xa0;: envisagez de le garder</translation>
    </message>
    <message>
        <source>{words} ({task})</source>
        <translation>{words} ({task})</translation>
    </message>
    <message numerus="yes">
        <source>{words}, no progress for %n min</source>
        <translation>
            <numerusform>{words}, aucun progrès depuis %n min</numerusform>
            <numerusform>{words}, aucun progrès depuis %n min</numerusform>
        </translation>
    </message>
    <message>
        <source>{word} is a type already.</source>
        <translation>{word} est déjà un type.</translation>
    </message>
    <message>
        <source>± is the standard deviation over seeds.</source>
        <translation>± est l’écart-type sur les graines.</translation>
    </message>
</context>
<context>
    <name>AgreementCard</name>
    <message>
        <source>How your whole site is hidden</source>
        <translation>Comment votre site entier est caché</translation>
    </message>
    <message>
        <source>Leaves with each update that you approve</source>
        <translation>Sort avec chaque mise à jour que vous approuvez</translation>
    </message>
    <message>
        <source>Never: words of notes, labels, names of files, your name, your reasons. You approve each update.</source>
        <translation>Jamais&#xa0;: mots des notes, annotations, noms de fichiers, votre nom, vos motifs. Vous approuvez chaque mise à jour.</translation>
    </message>
    <message>
        <source>Not now</source>
        <translation>Pas maintenant</translation>
    </message>
    <message>
        <source>What you agree to</source>
        <translation>Ce que vous acceptez</translation>
    </message>
</context>
<context>
    <name>AnswerPanel</name>
    <message>
        <source>Entity</source>
        <translation>Entité</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>Sorte</translation>
    </message>
    <message>
        <source>Modifier</source>
        <translation>Modificateur</translation>
    </message>
    <message>
        <source>Modifiers and the entities that they belong to</source>
        <translation>Modificateurs et entités auxquelles ils se rapportent</translation>
    </message>
    <message>
        <source>Summary</source>
        <translation>Résumé</translation>
    </message>
</context>
<context>
    <name>AppearanceCard</name>
    <message>
        <source>Another language applies from the next start of the program.</source>
        <translation>Une autre langue s’applique au prochain démarrage du programme.</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>Comme le système</translation>
    </message>
    <message>
        <source>Colours</source>
        <translation>Couleurs</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Sombre</translation>
    </message>
    <message>
        <source>High contrast</source>
        <translation>Contraste élevé</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Langue</translation>
    </message>
    <message>
        <source>Larger and smaller by Ctrl and +, Ctrl and -.</source>
        <translation>Plus grand et plus petit avec Ctrl et +, Ctrl et -.</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Clair</translation>
    </message>
    <message>
        <source>Size of text</source>
        <translation>Taille du texte</translation>
    </message>
</context>
<context>
    <name>ApprovalsPage</name>
    <message>
        <source>Approvals</source>
        <translation>Approbations</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>Decisions and receipts</source>
        <translation>Décisions et accusés de réception</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Lecture…</translation>
    </message>
    <message>
        <source>Nothing is waiting for you</source>
        <translation>Rien ne vous attend</translation>
    </message>
    <message>
        <source>Once an adapter is trained, it is shown here first; nothing leaves this computer without you.</source>
        <translation>Quand un adaptateur est entraîné, il s’affiche d’abord ici&#xa0;; rien ne sort de cet ordinateur sans vous.</translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation>Envoyer l’adaptateur</translation>
    </message>
    <message>
        <source>Send scores</source>
        <translation>Envoyer les scores</translation>
    </message>
    <message>
        <source>This site&apos;s record is being read.</source>
        <translation>Le registre de ce site est en cours de lecture.</translation>
    </message>
</context>
<context>
    <name>BackgroundCard</name>
    <message>
        <source>Ask me, and remember the answer</source>
        <translation>Me demander, et retenir la réponse</translation>
    </message>
    <message>
        <source>Close the program</source>
        <translation>Fermer le programme</translation>
    </message>
    <message>
        <source>Keep this computer awake while it trains</source>
        <translation>Pas de veille pendant l’entraînement</translation>
    </message>
    <message>
        <source>Stay in the tray while this computer takes part</source>
        <translation>Rester près de l’horloge tant que cet ordinateur participe</translation>
    </message>
    <message>
        <source>This desktop has no tray: closing the window closes the program.</source>
        <translation>Cet environnement de bureau n’a pas de zone de notification&#xa0;: fermer la fenêtre ferme le programme.</translation>
    </message>
    <message>
        <source>When the window is closed</source>
        <translation>Quand la fenêtre est fermée</translation>
    </message>
</context>
<context>
    <name>BlindPanel</name>
    <message>
        <source>Hide which is which, and ask me which one is better</source>
        <translation>Cacher les noms et demander lequel est meilleur</translation>
    </message>
    <message>
        <source>Model A</source>
        <translation>Modèle A</translation>
    </message>
    <message>
        <source>Model B</source>
        <translation>Modèle B</translation>
    </message>
    <message>
        <source>No difference</source>
        <translation>Aucune différence</translation>
    </message>
    <message>
        <source>Not both could be read to the end: this is no comparison.</source>
        <translation>Les deux n’ont pas lu jusqu’au bout&#xa0;: ce n’est pas une comparaison.</translation>
    </message>
    <message>
        <source>The left one</source>
        <translation>Celui de gauche</translation>
    </message>
    <message>
        <source>The right one</source>
        <translation>Celui de droite</translation>
    </message>
    <message>
        <source>Which one is better?</source>
        <translation>Lequel est le meilleur&#xa0;?</translation>
    </message>
    <message>
        <source>You are asked once both have been read.</source>
        <translation>La question vous est posée dès que les deux ont lu.</translation>
    </message>
</context>
<context>
    <name>ChangeRow</name>
    <message>
        <source>{what}: from {before} to {after}, {delta}</source>
        <translation>{what}&#xa0;: de {before} à {after}, {delta}</translation>
    </message>
</context>
<context>
    <name>ChartColumn</name>
    <message>
        <source>Drift</source>
        <translation>Dérive</translation>
    </message>
    <message>
        <source>Known once a round has been combined</source>
        <translation>Connue dès qu’un tour a été combiné</translation>
    </message>
    <message>
        <source>Known once this site&apos;s first adapter is made</source>
        <translation>Connu dès que le premier adaptateur de ce site est prêt</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Perte</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rang</translation>
    </message>
    <message>
        <source>Round {n}</source>
        <translation>Tour {n}</translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation>En attente du premier pas</translation>
    </message>
    <message>
        <source>thresholds {values}</source>
        <translation>seuils {values}</translation>
    </message>
</context>
<context>
    <name>CheckedNotes</name>
    <message>
        <source>An empty folder for the notes</source>
        <translation>Un dossier vide pour les notes</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Écriture…</translation>
    </message>
    <message>
        <source>Written into {folder}.</source>
        <translation>Écrit dans {folder}.</translation>
    </message>
</context>
<context>
    <name>ComputerCard</name>
    <message>
        <source>Applies from the next start of the program. Hours in which something may leave, and the rank, are limited by the policy below.</source>
        <translation>Prend effet au prochain démarrage du programme. Les heures où quelque chose peut sortir, et le rang, sont limités par la politique ci-dessous.</translation>
    </message>
    <message>
        <source>Cores for training</source>
        <translation>Cœurs pour l’entraînement</translation>
    </message>
</context>
<context>
    <name>ComputerPage</name>
    <message>
        <source>Looking… This takes some seconds.</source>
        <translation>Vérification… Cela prend quelques secondes.</translation>
    </message>
</context>
<context>
    <name>ConfirmDialog</name>
    <message>
        <source>Not now</source>
        <translation>Pas maintenant</translation>
    </message>
    <message>
        <source>They are the same: admit</source>
        <translation>Ils sont identiques&#xa0;: admettre</translation>
    </message>
    <message>
        <source>They differ: shut it out</source>
        <translation>Ils diffèrent&#xa0;: exclure</translation>
    </message>
</context>
<context>
    <name>ConnectionsCard</name>
    <message>
        <source>A check</source>
        <translation>Une vérification</translation>
    </message>
    <message>
        <source>All of them. Demonstrations connect only within this computer, and are not listed.</source>
        <translation>Elles y sont toutes. Les démonstrations, qui ne se connectent qu’au sein de cet ordinateur, n’y figurent pas.</translation>
    </message>
    <message>
        <source>Host</source>
        <translation>Hôte</translation>
    </message>
    <message>
        <source>Last</source>
        <translation>Dernière</translation>
    </message>
    <message>
        <source>None yet. This program connects to the coordinator that you join, and to nothing else.</source>
        <translation>Aucune pour l’instant. Ce programme se connecte au coordinateur que vous rejoignez, et à rien d’autre.</translation>
    </message>
    <message>
        <source>Taking part</source>
        <translation>Participation</translation>
    </message>
    <message>
        <source>Why</source>
        <translation>Pourquoi</translation>
    </message>
</context>
<context>
    <name>Countdown</name>
    <message>
        <source>Countdown</source>
        <translation>Compte à rebours</translation>
    </message>
    <message>
        <source>Take back</source>
        <translation>Annuler l’envoi</translation>
    </message>
    <message>
        <source>Time left to take it back</source>
        <translation>Temps restant pour annuler l’envoi</translation>
    </message>
</context>
<context>
    <name>CurvesView</name>
    <message>
        <source>Numbers of the charts</source>
        <translation>Valeurs des graphiques</translation>
    </message>
</context>
<context>
    <name>DecisionCard</name>
    <message>
        <source>Your decision</source>
        <translation>Votre décision</translation>
    </message>
</context>
<context>
    <name>DemonstrationDialog</name>
    <message>
        <source>Advanced</source>
        <translation>Avancé</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Annuler</translation>
    </message>
    <message>
        <source>Make my site memorise a few notes, to see a warning</source>
        <translation>Faire apprendre quelques notes par cœur à mon site, pour voir un avertissement</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>Démarrer</translation>
    </message>
</context>
<context>
    <name>EarlierDialog</name>
    <message>
        <source>Compare</source>
        <translation>Comparer</translation>
    </message>
    <message>
        <source>Compare with none</source>
        <translation>Ne comparer avec aucune</translation>
    </message>
    <message>
        <source>Earlier federation</source>
        <translation>Fédération antérieure</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Vérification…</translation>
    </message>
    <message>
        <source>There is none on this computer yet: it comes here once this computer has left one.</source>
        <translation>Il n’y en a pas encore sur cet ordinateur&#xa0;: elle apparaît ici dès que cet ordinateur en a quitté une.</translation>
    </message>
</context>
<context>
    <name>EntityLegend</name>
    <message>
        <source>Types of entities</source>
        <translation>Types d’entités</translation>
    </message>
</context>
<context>
    <name>EntryCard</name>
    <message>
        <source>Choose an entry to see everything it says.</source>
        <translation>Choisissez une entrée pour voir tout ce qu’elle contient.</translation>
    </message>
    <message>
        <source>Entry</source>
        <translation>Entrée</translation>
    </message>
</context>
<context>
    <name>EvaluationCard</name>
    <message>
        <source>A folder for scores and predictions</source>
        <translation>Un dossier pour les scores et les prédictions</translation>
    </message>
    <message>
        <source>About other notes than those shown above: {path}</source>
        <translation>Concerne d’autres notes que celles affichées ci-dessus : {path}</translation>
    </message>
    <message>
        <source>Evaluate again</source>
        <translation>Réévaluer</translation>
    </message>
    <message>
        <source>Evaluate on these notes</source>
        <translation>Évaluer sur ces notes</translation>
    </message>
    <message>
        <source>How good the model is on these notes</source>
        <translation>Qualité du modèle sur ces notes</translation>
    </message>
    <message>
        <source>Progress of the evaluation</source>
        <translation>Part de l’évaluation déjà faite</translation>
    </message>
    <message>
        <source>Save scores and predictions…</source>
        <translation>Enregistrer les scores et les prédictions…</translation>
    </message>
    <message>
        <source>Saved. The predictions hold words of the notes: keep them at your site.</source>
        <translation>Enregistré. Les prédictions contiennent des mots des notes&#xa0;: gardez-les sur votre site.</translation>
    </message>
    <message>
        <source>Scores on these notes</source>
        <translation>Scores sur ces notes</translation>
    </message>
    <message>
        <source>Test notes are used where there are some. Nothing is sent; it may take minutes to hours.</source>
        <translation>Les notes de test sont utilisées s’il y en a. Rien n’est envoyé&#xa0;; cela peut durer de quelques minutes à plusieurs heures.</translation>
    </message>
    <message>
        <source>The base model and “{adapter}” answer for every note that has labels; both are scored.</source>
        <translation>Le modèle de base et «&#xa0;{adapter}&#xa0;» répondent pour chaque note annotée&#xa0;; les deux sont évalués.</translation>
    </message>
    <message>
        <source>The base model answers for every note that has labels, and is scored.</source>
        <translation>Le modèle de base répond pour chaque note annotée, et il est évalué.</translation>
    </message>
</context>
<context>
    <name>ExperimentCharts</name>
    <message>
        <source>By round</source>
        <translation>Par tour</translation>
    </message>
    <message>
        <source>By what was moved</source>
        <translation>Par volume transféré</translation>
    </message>
    <message>
        <source>Drift</source>
        <translation>Dérive</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Perte</translation>
    </message>
    <message>
        <source>Loss by {moved}</source>
        <translation>Perte selon {moved}</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rang</translation>
    </message>
    <message>
        <source>round {n}</source>
        <translation>tour {n}</translation>
    </message>
    <message>
        <source>{score} by {moved}</source>
        <translation>{score} selon {moved}</translation>
    </message>
    <message>
        <source>{unit} moved</source>
        <translation>{unit} transférés</translation>
    </message>
</context>
<context>
    <name>ExperimentPage</name>
    <message>
        <source>Back to the Monitor</source>
        <translation>Retour au suivi</translation>
    </message>
    <message>
        <source>Experiment: {name}</source>
        <translation>Expérience&#xa0;: {name}</translation>
    </message>
    <message>
        <source>Folder of an experiment</source>
        <translation>Dossier d’une expérience</translation>
    </message>
    <message>
        <source>Lines are means over seeds. Choose a method in the table to see it apart.</source>
        <translation>Les lignes sont des moyennes sur les graines. Choisissez une méthode dans le tableau pour la voir à part.</translation>
    </message>
    <message>
        <source>Methods</source>
        <translation>Méthodes</translation>
    </message>
    <message>
        <source>Methods compared</source>
        <translation>Méthodes comparées</translation>
    </message>
    <message>
        <source>No cell of this experiment has one.</source>
        <translation>Aucune cellule de cette expérience n’en a.</translation>
    </message>
    <message>
        <source>No result</source>
        <translation>Aucun résultat</translation>
    </message>
    <message>
        <source>Open another…</source>
        <translation>Ouvrir une autre…</translation>
    </message>
    <message>
        <source>Setting: {title}</source>
        <translation>Réglage&#xa0;: {title}</translation>
    </message>
    <message>
        <source>Show all alike</source>
        <translation>Tout afficher de la même façon</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Ce que signifient ces chiffres</translation>
    </message>
    <message>
        <source>{method} stands out.</source>
        <translation>{method} est mise en avant.</translation>
    </message>
    <message>
        <source>{method} stands out; the dotted lines beside it are one standard deviation over seeds.</source>
        <translation>{method} est mise en avant&#xa0;; les lignes pointillées qui l’encadrent sont à un écart-type sur les graines.</translation>
    </message>
</context>
<context>
    <name>FactsCard</name>
    <message>
        <source>This coordinator</source>
        <translation>Ce coordinateur</translation>
    </message>
</context>
<context>
    <name>FaultDialog</name>
    <message>
        <source>Copy details</source>
        <translation>Copier les détails</translation>
    </message>
    <message>
        <source>Details for the people who maintain the program</source>
        <translation>Détails pour l’équipe de maintenance du programme</translation>
    </message>
    <message>
        <source>Show details</source>
        <translation>Afficher les détails</translation>
    </message>
    <message>
        <source>The details are in the log file, {path}</source>
        <translation>Les détails sont dans le fichier journal, {path}</translation>
    </message>
</context>
<context>
    <name>Field</name>
    <message>
        <source>Browse: {name}</source>
        <translation>Parcourir&#xa0;: {name}</translation>
    </message>
    <message>
        <source>Browse…</source>
        <translation>Parcourir…</translation>
    </message>
</context>
<context>
    <name>FilesCard</name>
    <message>
        <source>What is written</source>
        <translation>Ce qui est écrit</translation>
    </message>
    <message>
        <source>federation.toml, which all sites agree on, and the adapter that the first round begins with: the same files that fedmed-desktop --new-federation writes. You can read the first one, and move both to a server.</source>
        <translation>federation.toml, sur lequel tous les sites s’accordent, et l’adaptateur par lequel commence le premier tour&#xa0;: les mêmes fichiers qu’avec fedmed-desktop --new-federation. Vous pouvez lire le premier, et déplacer les deux sur un serveur.</translation>
    </message>
</context>
<context>
    <name>FindingBox</name>
    <message>
        <source>I have seen this</source>
        <translation>J’ai vu ceci</translation>
    </message>
    <message>
        <source>I have seen this: {finding}</source>
        <translation>J’ai vu ceci&#xa0;: {finding}</translation>
    </message>
</context>
<context>
    <name>FindingsCard</name>
    <message>
        <source>All is well.</source>
        <translation>Tout va bien.</translation>
    </message>
    <message>
        <source>Looking… This takes some seconds; up to a minute where nothing answers.</source>
        <translation>Vérification… Cela prend quelques secondes&#xa0;; jusqu’à une minute si rien ne répond.</translation>
    </message>
</context>
<context>
    <name>FittingCard</name>
    <message>
        <source>A model for your own notes</source>
        <translation>Un modèle pour vos propres notes</translation>
    </message>
    <message>
        <source>Fit again</source>
        <translation>Ajuster de nouveau</translation>
    </message>
    <message>
        <source>Fit it to our notes</source>
        <translation>L’ajuster à nos notes</translation>
    </message>
    <message>
        <source>Progress of the fitting</source>
        <translation>Part de l’ajustement déjà faite</translation>
    </message>
    <message>
        <source>Shares that were compared</source>
        <translation>Parts comparées</translation>
    </message>
    <message>
        <source>What was compared</source>
        <translation>Ce qui a été comparé</translation>
    </message>
</context>
<context>
    <name>FormPanel</name>
    <message>
        <source>Advanced</source>
        <translation>Avancé</translation>
    </message>
    <message>
        <source>Another model, in a folder of this computer</source>
        <translation>Un autre modèle, dans un dossier de cet ordinateur</translation>
    </message>
    <message>
        <source>Confirm each new site</source>
        <translation>Confirmer chaque nouveau site</translation>
    </message>
    <message>
        <source>Every site sees this word above its pages.</source>
        <translation>Chaque site voit ce mot au-dessus de ses pages.</translation>
    </message>
    <message>
        <source>How it goes</source>
        <translation>Déroulement</translation>
    </message>
    <message>
        <source>It waits until you have compared six words by phone, which shows that nobody is in between.</source>
        <translation>Il attend que vous ayez comparé six mots avec lui par téléphone&#xa0;: ainsi, personne ne peut s’interposer.</translation>
    </message>
    <message>
        <source>Language model</source>
        <translation>Modèle de langage</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Lecture…</translation>
    </message>
    <message>
        <source>Something above is not right yet.</source>
        <translation>Un élément ci-dessus n’est pas encore correct.</translation>
    </message>
    <message>
        <source>Something above is still empty.</source>
        <translation>Un champ ci-dessus est encore vide.</translation>
    </message>
    <message>
        <source>The small model that comes with the program</source>
        <translation>Le petit modèle fourni avec le programme</translation>
    </message>
    <message>
        <source>What is learned</source>
        <translation>Ce qui s’apprend</translation>
    </message>
    <message>
        <source>What it is for</source>
        <translation>À quoi elle sert</translation>
    </message>
    <message>
        <source>Where it is served</source>
        <translation>Où elle est hébergée</translation>
    </message>
    <message>
        <source>Who can take part</source>
        <translation>Qui peut participer</translation>
    </message>
</context>
<context>
    <name>GuideDialog</name>
    <message>
        <source>Back</source>
        <translation>Retour</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>Guide</source>
        <translation>Guide</translation>
    </message>
    <message>
        <source>Pages of the guide</source>
        <translation>Pages du guide</translation>
    </message>
</context>
<context>
    <name>Header</name>
    <message>
        <source>Connected</source>
        <translation>Connecté</translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation>Connexion en cours</translation>
    </message>
    <message>
        <source>Demonstration</source>
        <translation>Démonstration</translation>
    </message>
    <message>
        <source>Menu</source>
        <translation>Menu</translation>
    </message>
    <message>
        <source>Offline</source>
        <translation>Hors ligne</translation>
    </message>
    <message>
        <source>Refused</source>
        <translation>Refusé</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>Test</translation>
    </message>
    <message>
        <source>this computer</source>
        <translation>cet ordinateur</translation>
    </message>
</context>
<context>
    <name>HelpedCard</name>
    <message>
        <source>What this means</source>
        <translation>Ce que cela signifie</translation>
    </message>
    <message>
        <source>What this means: {title}</source>
        <translation>Ce que cela signifie&#xa0;: {title}</translation>
    </message>
</context>
<context>
    <name>HistoryPage</name>
    <message>
        <source>As a table (CSV)…</source>
        <translation>En tableau (CSV)…</translation>
    </message>
    <message>
        <source>Checked at {time}. {verdict}</source>
        <translation>Vérifié à {time}. {verdict}</translation>
    </message>
    <message>
        <source>Checking every entry…</source>
        <translation>Vérification de chaque entrée…</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>Compare…</source>
        <translation>Comparer…</translation>
    </message>
    <message>
        <source>Entries of the record, the newest first</source>
        <translation>Entrées du registre, la plus récente d’abord</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Exporter</translation>
    </message>
    <message>
        <source>Export the record</source>
        <translation>Exporter le registre</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Historique</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Rejoindre une fédération</translation>
    </message>
    <message>
        <source>Mark as reviewed…</source>
        <translation>Marquer comme revu…</translation>
    </message>
    <message>
        <source>None of {all} entries match.</source>
        <translation>Aucune des {all} entrées ne correspond.</translation>
    </message>
    <message>
        <source>Nothing could be compared: neither record holds a hash of the other.</source>
        <translation>Rien n’a pu être comparé&#xa0;: aucun des deux registres ne détient d’empreinte de l’autre.</translation>
    </message>
    <message>
        <source>Nothing has been recorded yet</source>
        <translation>Rien n’a encore été enregistré</translation>
    </message>
    <message>
        <source>Once this site takes part in a federation, everything that the program does and you decide is written down here, and stays on this computer.</source>
        <translation>Dès que ce site participe à une fédération, tout ce que fait le programme et tout ce que vous décidez est consigné ici, et reste sur cet ordinateur.</translation>
    </message>
    <message>
        <source>Reading the record…</source>
        <translation>Lecture du registre…</translation>
    </message>
    <message>
        <source>Records (*.sqlite *.json)</source>
        <translation>Registres (*.sqlite *.json)</translation>
    </message>
    <message>
        <source>Show everything</source>
        <translation>Tout afficher</translation>
    </message>
    <message>
        <source>Signed, for others to check (JSON)…</source>
        <translation>Signé, vérifiable par d’autres (JSON)…</translation>
    </message>
    <message>
        <source>The coordinator&apos;s audit.sqlite, or an export of it</source>
        <translation>Le fichier audit.sqlite du coordinateur, ou un export de celui-ci</translation>
    </message>
    <message>
        <source>To read on paper (PDF)…</source>
        <translation>À lire sur papier (PDF)…</translation>
    </message>
    <message>
        <source>Verify</source>
        <translation>Vérifier</translation>
    </message>
    <message>
        <source>What this site did and decided, and when. Entries are added, never changed.</source>
        <translation>Ce que ce site a fait et décidé, et quand. Des entrées s’ajoutent, aucune n’est jamais modifiée.</translation>
    </message>
    <message>
        <source>With the coordinator&apos;s record, or an export of it</source>
        <translation>Avec le registre du coordinateur, ou un export de celui-ci</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Écriture…</translation>
    </message>
</context>
<context>
    <name>HostStoryCard</name>
    <message>
        <source>What arrives here is what each site has approved: adapters, counts and scores. Never the words of notes.</source>
        <translation>Il n’arrive ici que ce que chaque site a approuvé&#xa0;: adaptateurs, nombres et scores. Jamais les mots des notes.</translation>
    </message>
    <message>
        <source>What hosting means</source>
        <translation>Ce que signifie héberger</translation>
    </message>
    <message>
        <source>While a round is running, this computer must be switched on and sites must be able to reach it. It needs no GPU and no notes.</source>
        <translation>Cet ordinateur doit être allumé et accessible aux sites tant qu’un tour est en cours. Il ne lui faut ni GPU ni notes.</translation>
    </message>
    <message>
        <source>You invite each site with a line of text, a file or a QR code. Nobody else can join.</source>
        <translation>Vous invitez chaque site, par une ligne, un fichier ou un code QR. Personne d’autre ne peut entrer.</translation>
    </message>
</context>
<context>
    <name>HostingPage</name>
    <message>
        <source>A federation</source>
        <translation>Une fédération</translation>
    </message>
    <message>
        <source>About hosting</source>
        <translation>À propos de l’hébergement</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Retour</translation>
    </message>
    <message>
        <source>Decide what hospitals learn together. This computer then runs the rounds and combines the updates.</source>
        <translation>Décidez de ce que les hôpitaux apprennent ensemble. Cet ordinateur lance ensuite les tours et combine.</translation>
    </message>
    <message>
        <source>Found the federation</source>
        <translation>Fonder la fédération</translation>
    </message>
    <message>
        <source>Host a federation</source>
        <translation>Héberger une fédération</translation>
    </message>
    <message>
        <source>No longer look after it…</source>
        <translation>Ne plus la suivre…</translation>
    </message>
    <message>
        <source>Reading the model, and writing…</source>
        <translation>Lecture du modèle et écriture…</translation>
    </message>
    <message>
        <source>You are a host of this federation; another computer serves it.</source>
        <translation>Vous êtes organisateur de cette fédération&#xa0;; un autre ordinateur l’héberge.</translation>
    </message>
    <message>
        <source>You host this federation, as a test.</source>
        <translation>Vous hébergez cette fédération, à titre de test.</translation>
    </message>
    <message>
        <source>You host this federation.</source>
        <translation>Vous hébergez cette fédération.</translation>
    </message>
</context>
<context>
    <name>IdentityCard</name>
    <message>
        <source>Compare these six words with the host by phone</source>
        <translation>Comparez ces six mots avec l’organisateur par téléphone</translation>
    </message>
    <message>
        <source>They are the same</source>
        <translation>Ce sont les mêmes</translation>
    </message>
    <message>
        <source>They differ…</source>
        <translation>Ils diffèrent…</translation>
    </message>
</context>
<context>
    <name>ImprovedCard</name>
    <message>
        <source>1 more type is in Monitor.</source>
        <translation>1 type de plus se trouve dans Suivi.</translation>
    </message>
    <message>
        <source>By type and for all sites</source>
        <translation>Par type et pour tous les sites</translation>
    </message>
    <message>
        <source>Found correctly, of 100.</source>
        <translation>Trouvés correctement, sur 100.</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Ce que cela apporte</translation>
    </message>
    <message>
        <source>Not known yet: scores appear here once this round&apos;s adapter has been trained.</source>
        <translation>Pas encore connu&#xa0;: les scores s’affichent ici dès que l’adaptateur de ce tour est entraîné.</translation>
    </message>
    <message>
        <source>Points, of 100.</source>
        <translation>Points, sur 100.</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Ce que signifient ces chiffres</translation>
    </message>
    <message>
        <source>{n} more types are in Monitor.</source>
        <translation>{n} types de plus se trouvent dans Suivi.</translation>
    </message>
</context>
<context>
    <name>InviteDialog</name>
    <message>
        <source>All numbers of this site stand under it.</source>
        <translation>Tous les chiffres de ce site figurent sous ce nom.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Annuler</translation>
    </message>
    <message>
        <source>It can be used for</source>
        <translation>Elle est valable</translation>
    </message>
    <message>
        <source>Make the invitation</source>
        <translation>Créer l’invitation</translation>
    </message>
    <message>
        <source>Mercy General</source>
        <translation>Mercy General</translation>
    </message>
    <message>
        <source>Name of the site</source>
        <translation>Nom du site</translation>
    </message>
</context>
<context>
    <name>InvitedPanel</name>
    <message>
        <source>Copied</source>
        <translation>Copié</translation>
    </message>
    <message>
        <source>Copy the line</source>
        <translation>Copier la ligne</translation>
    </message>
    <message>
        <source>Invitation</source>
        <translation>Invitation</translation>
    </message>
    <message>
        <source>QR code of the invitation of {site}</source>
        <translation>Code QR de l’invitation de {site}</translation>
    </message>
    <message>
        <source>Save the QR code</source>
        <translation>Enregistrer le code QR</translation>
    </message>
    <message>
        <source>Save the QR code…</source>
        <translation>Enregistrer le code QR…</translation>
    </message>
    <message>
        <source>Save the file…</source>
        <translation>Enregistrer le fichier…</translation>
    </message>
    <message>
        <source>Save the invitation</source>
        <translation>Enregistrer l’invitation</translation>
    </message>
    <message>
        <source>Saved as {path}.</source>
        <translation>Enregistré sous {path}.</translation>
    </message>
    <message>
        <source>Send the line, the file or the picture to {site}, by a way that nobody else reads: whoever has it can join as {site}. It works once, until {time}.</source>
        <translation>Envoyez la ligne, le fichier ou l’image à {site}, par une voie que personne d’autre ne lit&#xa0;: qui l’a peut participer comme {site}. Elle sert une fois, jusqu’à {time}.</translation>
    </message>
    <message>
        <source>There they choose Join. Then compare six words by phone; if they differ, remove the site.</source>
        <translation>Là-bas, on choisit «&#xa0;Rejoindre&#xa0;». Comparez ensuite six mots par téléphone&#xa0;; s’ils diffèrent, retirez le site.</translation>
    </message>
    <message>
        <source>There they choose Join. Then they wait here, until you have compared six words and confirmed.</source>
        <translation>Là-bas, on choisit «&#xa0;Rejoindre&#xa0;». Le site attend alors ici, jusqu’à ce que vous ayez comparé six mots et confirmé.</translation>
    </message>
</context>
<context>
    <name>JoinPage</name>
    <message>
        <source>A small file that says which of the federation&apos;s types each of yours is.</source>
        <translation>Un petit fichier qui dit à quel type de la fédération correspond chacun de vos types.</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Retour</translation>
    </message>
    <message>
        <source>Check before joining</source>
        <translation>Vérifier d’abord</translation>
    </message>
    <message>
        <source>Enter the invitation first; it says where the coordinator is.</source>
        <translation>Saisissez d’abord l’invitation&#xa0;; elle dit où se trouve le coordinateur.</translation>
    </message>
    <message>
        <source>Everything except the types map is needed.</source>
        <translation>Tout est nécessaire, sauf la table des types.</translation>
    </message>
    <message>
        <source>Host one instead</source>
        <translation>En héberger une plutôt</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Rejoindre</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Rejoindre une fédération</translation>
    </message>
    <message>
        <source>Look after it</source>
        <translation>La suivre</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Vérification…</translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation>Dossier du modèle</translation>
    </message>
    <message>
        <source>Notes folder</source>
        <translation>Dossier des notes</translation>
    </message>
    <message>
        <source>Something above is not right yet.</source>
        <translation>Un élément ci-dessus n’est pas encore correct.</translation>
    </message>
    <message>
        <source>Tests the connection to the coordinator and checks this computer. It tells the coordinator nothing about this site.</source>
        <translation>Essaie d’atteindre le coordinateur et examine cet ordinateur. Rien n’est dit de ce site.</translation>
    </message>
    <message>
        <source>The agreed language model; its host gives you this folder.</source>
        <translation>Le modèle de langage convenu&#xa0;; l’organisateur vous donne ce dossier.</translation>
    </message>
    <message>
        <source>Types map (optional)</source>
        <translation>Table des types (facultative)</translation>
    </message>
    <message>
        <source>Types maps (*.toml)</source>
        <translation>Tables des types (*.toml)</translation>
    </message>
    <message>
        <source>What notes and models must look like</source>
        <translation>Format des notes et des modèles</translation>
    </message>
    <message>
        <source>Your annotated notes. They are only read, and stay there.</source>
        <translation>Vos notes annotées. Elles sont seulement lues, et restent où elles sont.</translation>
    </message>
    <message>
        <source>Your notes stay in their folder. Nothing learned from your notes leaves before you approve it.</source>
        <translation>Vos notes restent dans leur dossier. Rien de ce qui en est appris ne sort avant votre approbation.</translation>
    </message>
</context>
<context>
    <name>LayerMap</name>
    <message>
        <source>Change by layer and round</source>
        <translation>Modification par couche et par tour</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Couche par couche</translation>
    </message>
    <message>
        <source>Map of the change by layer and round</source>
        <translation>Carte de la modification par couche et par tour</translation>
    </message>
    <message>
        <source>Show as map</source>
        <translation>Afficher en carte</translation>
    </message>
    <message>
        <source>Show as table</source>
        <translation>Afficher en tableau</translation>
    </message>
    <message>
        <source>no change</source>
        <translation>aucun changement</translation>
    </message>
</context>
<context>
    <name>LayersCard</name>
    <message>
        <source>Layer by layer</source>
        <translation>Couche par couche</translation>
    </message>
    <message>
        <source>Layers are numbered from the input onwards. Norm: how large the change is. Click a heading to sort.</source>
        <translation>Les couches sont numérotées à partir de l’entrée. Norme&#xa0;: ampleur de la modification. Un clic sur un en-tête trie.</translation>
    </message>
</context>
<context>
    <name>LicencesCard</name>
    <message>
        <source>Licence</source>
        <translation>Licence</translation>
    </message>
    <message>
        <source>Package</source>
        <translation>Paquet</translation>
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
        <translation>Dernières valeurs&#xa0;: {values}</translation>
    </message>
</context>
<context>
    <name>MarkDialog</name>
    <message>
        <source>As it should appear in the record.</source>
        <translation>Tel qu’il doit figurer dans le registre.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Annuler</translation>
    </message>
    <message>
        <source>Mark as reviewed</source>
        <translation>Marquer comme revu</translation>
    </message>
    <message>
        <source>Not needed. It stays on this computer, as the record does.</source>
        <translation>Facultatif. Elle reste sur cet ordinateur, comme le registre.</translation>
    </message>
    <message>
        <source>Remark</source>
        <translation>Remarque</translation>
    </message>
    <message>
        <source>Your name</source>
        <translation>Votre nom</translation>
    </message>
</context>
<context>
    <name>Menu</name>
    <message>
        <source>Larger text</source>
        <translation>Texte plus grand</translation>
    </message>
    <message>
        <source>Smaller text</source>
        <translation>Texte plus petit</translation>
    </message>
    <message>
        <source>Usual text size</source>
        <translation>Taille de texte normale</translation>
    </message>
</context>
<context>
    <name>MethodPicker</name>
    <message>
        <source>About this method</source>
        <translation>À propos de cette méthode</translation>
    </message>
    <message>
        <source>Method</source>
        <translation>Méthode</translation>
    </message>
</context>
<context>
    <name>ModelCard</name>
    <message>
        <source>Adapter: none; choose one to read with it</source>
        <translation>Adaptateur&#xa0;: aucun&#xa0;; choisissez-en un pour lire avec lui</translation>
    </message>
    <message>
        <source>Adapter: trained on public texts, comes with it</source>
        <translation>Adaptateur&#xa0;: entraîné sur des textes publics, fourni avec le modèle</translation>
    </message>
    <message>
        <source>Adapter: {name}</source>
        <translation>Adaptateur&#xa0;: {name}</translation>
    </message>
    <message>
        <source>Choose adapter…</source>
        <translation>Choisir un adaptateur…</translation>
    </message>
    <message>
        <source>Choose model…</source>
        <translation>Choisir un modèle…</translation>
    </message>
    <message>
        <source>Folder of a model</source>
        <translation>Dossier d’un modèle</translation>
    </message>
    <message>
        <source>Folder of an adapter</source>
        <translation>Dossier d’un adaptateur</translation>
    </message>
    <message>
        <source>Model: the small one that comes with this program</source>
        <translation>Modèle&#xa0;: le petit, fourni avec ce programme</translation>
    </message>
    <message>
        <source>Model: {name}</source>
        <translation>Modèle&#xa0;: {name}</translation>
    </message>
</context>
<context>
    <name>MonitorCards</name>
    <message>
        <source>Most memory used</source>
        <translation>Mémoire maximale utilisée</translation>
    </message>
    <message>
        <source>Sent / received</source>
        <translation>Envoyé / reçu</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Vitesse</translation>
    </message>
    <message>
        <source>Step size (learning rate)</source>
        <translation>Taille des pas (taux d’apprentissage)</translation>
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
        <translation>Selon les pas</translation>
    </message>
    <message>
        <source>By time</source>
        <translation>Selon le temps</translation>
    </message>
    <message>
        <source>Compare with an earlier federation…</source>
        <translation>Comparer avec une fédération antérieure…</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Exporter</translation>
    </message>
    <message>
        <source>Export picture or numbers</source>
        <translation>Exporter l’image ou les valeurs</translation>
    </message>
    <message>
        <source>Follow</source>
        <translation>Suivre</translation>
    </message>
    <message>
        <source>Follow the newest step</source>
        <translation>Suivre le pas le plus récent</translation>
    </message>
    <message>
        <source>None: the loss of every step</source>
        <translation>Aucun&#xa0;: la perte de chaque pas</translation>
    </message>
    <message>
        <source>Numbers (CSV)…</source>
        <translation>Valeurs (CSV)…</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Ouvrir une expérience…</translation>
    </message>
    <message>
        <source>Picture (PNG)…</source>
        <translation>Image (PNG)…</translation>
    </message>
    <message>
        <source>Show as table</source>
        <translation>Afficher en tableau</translation>
    </message>
    <message>
        <source>Show everything, and new steps as they come. Panning or zooming turns this off.</source>
        <translation>Affiche tout, et les nouveaux pas dès qu’ils arrivent. Un déplacement ou un zoom y met fin.</translation>
    </message>
    <message>
        <source>Smoothing {weight}</source>
        <translation>Lissage {weight}</translation>
    </message>
    <message>
        <source>Stretch small values (log)</source>
        <translation>Étirer les petites valeurs (log)</translation>
    </message>
    <message>
        <source>View</source>
        <translation>Affichage</translation>
    </message>
    <message>
        <source>View of the charts</source>
        <translation>Affichage des graphiques</translation>
    </message>
    <message>
        <source>off</source>
        <translation>désactivé</translation>
    </message>
    <message>
        <source>{text}, of the training loss</source>
        <translation>{text}, de la perte d’entraînement</translation>
    </message>
</context>
<context>
    <name>MonitorPage</name>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>For long rounds that have closed, it contains evenly spaced steps only.</source>
        <translation>Pour les longs tours déjà clos, il ne contient que des pas régulièrement espacés.</translation>
    </message>
    <message>
        <source>Loss should go down, drift should stay low, and rank is how much can be learned. Opens the guide.</source>
        <translation>La perte doit baisser&#xa0;; la dérive doit rester faible&#xa0;; le rang dit combien peut être appris. Ouvre le guide.</translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation>Suivi</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Ouvrir une expérience…</translation>
    </message>
    <message>
        <source>Save the charts as a picture</source>
        <translation>Enregistrer les graphiques comme image</translation>
    </message>
    <message>
        <source>Save the numbers</source>
        <translation>Enregistrer les valeurs</translation>
    </message>
    <message>
        <source>Saved as {path}</source>
        <translation>Enregistré sous {path}</translation>
    </message>
    <message>
        <source>Then → now, after round {n}</source>
        <translation>Avant → maintenant, après le tour {n}</translation>
    </message>
    <message>
        <source>What loss, drift and rank are</source>
        <translation>Ce que sont la perte, la dérive et le rang</translation>
    </message>
</context>
<context>
    <name>NavigationBar</name>
    <message>
        <source>Pages</source>
        <translation>Pages</translation>
    </message>
</context>
<context>
    <name>NavigationButton</name>
    <message>
        <source>{page}, {count} waiting</source>
        <translation>{page}, {count} en attente</translation>
    </message>
</context>
<context>
    <name>NoteCard</name>
    <message>
        <source>&amp;Looks for</source>
        <translation>&amp;Cherche</translation>
    </message>
    <message>
        <source>1 character</source>
        <translation>1 caractère</translation>
    </message>
    <message>
        <source>Change</source>
        <translation>Modifier</translation>
    </message>
    <message>
        <source>Change note, types or model</source>
        <translation>Modifier la note, les types ou le modèle</translation>
    </message>
    <message>
        <source>Note to read</source>
        <translation>Note à lire</translation>
    </message>
    <message>
        <source>Paste a note here. It is read on this computer and not stored.</source>
        <translation>Collez une note ici. Elle est lue sur cet ordinateur et n’est conservée nulle part.</translation>
    </message>
    <message>
        <source>Types to look for</source>
        <translation>Types à chercher</translation>
    </message>
    <message>
        <source>{n} characters</source>
        <translation>{n} caractères</translation>
    </message>
    <message>
        <source>{types} (this federation&apos;s types)</source>
        <translation>{types} (types de cette fédération)</translation>
    </message>
</context>
<context>
    <name>NotesChoice</name>
    <message>
        <source>Notes folder</source>
        <translation>Dossier des notes</translation>
    </message>
    <message>
        <source>There is no such folder on this computer.</source>
        <translation>Ce dossier n’existe pas sur cet ordinateur.</translation>
    </message>
    <message>
        <source>Your annotated notes. They are only read, and stay there.</source>
        <translation>Vos notes annotées. Elles sont seulement lues, et restent où elles sont.</translation>
    </message>
</context>
<context>
    <name>NotesPage</name>
    <message>
        <source>Check again</source>
        <translation>Vérifier à nouveau</translation>
    </message>
    <message>
        <source>Choose a file…</source>
        <translation>Choisir un fichier…</translation>
    </message>
    <message>
        <source>Choose a folder or a file of notes, to see what is in them and what needs a look. They are only read, and nothing leaves this computer.</source>
        <translation>Choisissez un dossier ou un fichier de notes pour voir ce qu’elles contiennent et ce qui mérite un coup d’œil. Elles sont seulement lues, et rien ne sort de cet ordinateur.</translation>
    </message>
    <message>
        <source>Choose a folder…</source>
        <translation>Choisir un dossier…</translation>
    </message>
    <message>
        <source>No notes yet</source>
        <translation>Pas encore de notes</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Notes</translation>
    </message>
    <message>
        <source>Open a file of notes</source>
        <translation>Ouvrir un fichier de notes</translation>
    </message>
    <message>
        <source>Open a folder of notes</source>
        <translation>Ouvrir un dossier de notes</translation>
    </message>
    <message>
        <source>Other file…</source>
        <translation>Autre fichier…</translation>
    </message>
    <message>
        <source>Other folder…</source>
        <translation>Autre dossier…</translation>
    </message>
    <message>
        <source>Shown on this screen only. Rows are named by file and number, their words are not shown.</source>
        <translation>Affiché sur cet écran seulement. Les lignes sont désignées par fichier et numéro&#xa0;; leurs mots ne sont pas montrés.</translation>
    </message>
    <message>
        <source>This site&apos;s notes</source>
        <translation>Notes de ce site</translation>
    </message>
    <message>
        <source>This site&apos;s notes, as {federation} would use them: {folder}</source>
        <translation>Notes de ce site, telles que {federation} les utiliserait&#xa0;: {folder}</translation>
    </message>
</context>
<context>
    <name>NotesReport</name>
    <message>
        <source>Columns of the table</source>
        <translation>Colonnes du tableau</translation>
    </message>
    <message>
        <source>Labels</source>
        <translation>Annotations</translation>
    </message>
    <message>
        <source>Length</source>
        <translation>Longueur</translation>
    </message>
    <message>
        <source>Notes that are nearly the same</source>
        <translation>Notes presque identiques</translation>
    </message>
    <message>
        <source>Noticed while reading</source>
        <translation>Observé à la lecture</translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation>Chiffres</translation>
    </message>
    <message>
        <source>Rows that cannot be used</source>
        <translation>Lignes inutilisables</translation>
    </message>
    <message>
        <source>What looks like identifiers</source>
        <translation>Ce qui ressemble à des identifiants</translation>
    </message>
</context>
<context>
    <name>OutcomeView</name>
    <message>
        <source>Sent so far</source>
        <translation>Envoyé jusqu’ici</translation>
    </message>
</context>
<context>
    <name>PageView</name>
    <message>
        <source>Guide: {page}</source>
        <translation>Guide&#xa0;: {page}</translation>
    </message>
    <message>
        <source>Open this picture larger: {what}</source>
        <translation>Agrandir cette image&#xa0;: {what}</translation>
    </message>
</context>
<context>
    <name>PairRow</name>
    <message>
        <source>{name}: this site {own}, federation {federation}</source>
        <translation>{name}&#xa0;: ce site {own}, fédération {federation}</translation>
    </message>
</context>
<context>
    <name>PictureDialog</name>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
</context>
<context>
    <name>PolicyCard</name>
    <message>
        <source>How a policy is written</source>
        <translation>Comment s’écrit une politique</translation>
    </message>
    <message>
        <source>It can only make the program stricter, and is changed in its file.</source>
        <translation>Elle ne peut que rendre le programme plus strict, et se modifie dans son fichier.</translation>
    </message>
</context>
<context>
    <name>PolicyLine</name>
    <message>
        <source>Second &amp;person (the name of their account)</source>
        <translation>Deuxième &amp;personne (nom de son compte)</translation>
    </message>
    <message>
        <source>Second person</source>
        <translation>Deuxième personne</translation>
    </message>
</context>
<context>
    <name>PolicyRow</name>
    <message>
        <source>{sentence} Set by your administrator.</source>
        <translation>{sentence} Défini par votre administrateur.</translation>
    </message>
</context>
<context>
    <name>PreviewCard</name>
    <message>
        <source>Note {n} of your folder</source>
        <translation>Note {n} de votre dossier</translation>
    </message>
    <message>
        <source>Once a notes folder is chosen, three of its notes are shown here, with their entities marked.</source>
        <translation>Dès qu’un dossier de notes est choisi, trois de ses notes s’affichent ici, avec leurs entités marquées.</translation>
    </message>
    <message>
        <source>Reading your notes…</source>
        <translation>Lecture de vos notes…</translation>
    </message>
    <message>
        <source>Shown on this screen only; nothing is copied or sent.</source>
        <translation>Affiché sur cet écran seulement&#xa0;; rien n’est copié ni envoyé.</translation>
    </message>
    <message>
        <source>Your notes, as training will see them</source>
        <translation>Vos notes, telles que l’entraînement les verra</translation>
    </message>
    <message>
        <source>and {n} more types</source>
        <translation>et {n} types de plus</translation>
    </message>
</context>
<context>
    <name>ProxyCard</name>
    <message>
        <source>Only if the proxy wants one; the name is in its address. It is kept in this program&apos;s settings file, which only your account can read, but which is not encrypted.</source>
        <translation>Seulement si le proxy en demande un&#xa0;; le nom est dans son adresse. Il est conservé dans le fichier de paramètres de ce programme, que seul votre compte peut lire, mais qui n’est pas chiffré.</translation>
    </message>
    <message>
        <source>Password for the proxy</source>
        <translation>Mot de passe du proxy</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>Proxy</translation>
    </message>
    <message>
        <source>The check below uses the proxy at once; taking part does from the next start of the program.</source>
        <translation>La vérification ci-dessous utilise aussitôt le proxy ; la participation, à partir du prochain démarrage du programme.</translation>
    </message>
    <message>
        <source>“system”: as this computer&apos;s settings say. “none”: no proxy. Or the address of a proxy.</source>
        <translation>«&#xa0;system&#xa0;»&#xa0;: selon les paramètres de cet ordinateur. «&#xa0;none&#xa0;»&#xa0;: pas de proxy. Ou l’adresse d’un proxy.</translation>
    </message>
</context>
<context>
    <name>Queue</name>
    <message>
        <source>Waiting updates</source>
        <translation>Mises à jour en attente</translation>
    </message>
</context>
<context>
    <name>ReasonForm</name>
    <message>
        <source>&amp;Reason (kept in this site&apos;s record, never sent)</source>
        <translation>&amp;Motif (reste dans le registre, jamais envoyé)</translation>
    </message>
    <message>
        <source>Hold</source>
        <translation>Attendre</translation>
    </message>
    <message>
        <source>Keep on site</source>
        <translation>Garder sur place</translation>
    </message>
    <message>
        <source>Reason</source>
        <translation>Motif</translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation>Envoyer l’adaptateur</translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation>Essayer sur une note</translation>
    </message>
    <message>
        <source>Your name</source>
        <translation>Votre nom</translation>
    </message>
    <message>
        <source>Your name, as it should appear in this site&apos;s record</source>
        <translation>Votre nom, tel qu’il doit figurer dans le registre de ce site</translation>
    </message>
</context>
<context>
    <name>Results</name>
    <message>
        <source>Pages that were found</source>
        <translation>Pages trouvées</translation>
    </message>
</context>
<context>
    <name>RevealsCard</name>
    <message>
        <source>Hide numbers</source>
        <translation>Masquer les chiffres</translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation>Chiffres</translation>
    </message>
    <message>
        <source>What each of these means, and what it does not</source>
        <translation>Ce que chacun signifie, et ce qu’il ne signifie pas</translation>
    </message>
    <message>
        <source>What it may reveal</source>
        <translation>Ce qu’elle peut révéler</translation>
    </message>
</context>
<context>
    <name>RoundsPage</name>
    <message>
        <source>Host a federation</source>
        <translation>Héberger une fédération</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Rejoindre une fédération</translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation>Pas encore de fédération</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Voir une démonstration</translation>
    </message>
    <message>
        <source>Train one model together with other sites. Your notes stay on this computer.</source>
        <translation>Entraînez un modèle avec d’autres sites. Vos notes restent sur cet ordinateur.</translation>
    </message>
    <message>
        <source>Try a model</source>
        <translation>Essayer un modèle</translation>
    </message>
</context>
<context>
    <name>RunCard</name>
    <message>
        <source>Stop</source>
        <translation>Arrêter</translation>
    </message>
</context>
<context>
    <name>SaveEvidence</name>
    <message>
        <source>Exactly what is decided on (JSON)…</source>
        <translation>Exactement ce sur quoi porte la décision (JSON)…</translation>
    </message>
    <message>
        <source>Save evidence</source>
        <translation>Enregistrer les preuves</translation>
    </message>
    <message>
        <source>Save the evidence</source>
        <translation>Enregistrer les preuves</translation>
    </message>
    <message>
        <source>Save the evidence on this update</source>
        <translation>Enregistrer les preuves de cette mise à jour</translation>
    </message>
    <message>
        <source>Saved as {path}</source>
        <translation>Enregistré sous {path}</translation>
    </message>
    <message>
        <source>Saved as {path}. Its sha256 is in the record of the decision.</source>
        <translation>Enregistré sous {path}. Son sha256 figure dans l’enregistrement de la décision.</translation>
    </message>
    <message>
        <source>To read and print (PDF)…</source>
        <translation>À lire et à imprimer (PDF)…</translation>
    </message>
</context>
<context>
    <name>SaveResults</name>
    <message>
        <source>Marks for BRAT (a folder)…</source>
        <translation>Annotations pour BRAT (un dossier)…</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>Enregistrer</translation>
    </message>
    <message>
        <source>Save for other programs</source>
        <translation>Enregistrer pour d’autres programmes</translation>
    </message>
    <message>
        <source>Save what was found</source>
        <translation>Enregistrer ce qui a été trouvé</translation>
    </message>
    <message>
        <source>Saved as {path}. It contains the note&apos;s words: keep it only where the note itself may be kept.</source>
        <translation>Enregistré sous {path}. Cela contient les mots de la note&#xa0;: gardez-le là où la note a le droit d’être.</translation>
    </message>
    <message>
        <source>The adapter (a PEFT folder)…</source>
        <translation>L’adaptateur (un dossier PEFT)…</translation>
    </message>
    <message>
        <source>The model with the adapter in it (a folder)…</source>
        <translation>Le modèle avec l’adaptateur intégré (un dossier)…</translation>
    </message>
    <message>
        <source>What was found (JSON)…</source>
        <translation>Ce qui a été trouvé (JSON)…</translation>
    </message>
</context>
<context>
    <name>SavedLine</name>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
</context>
<context>
    <name>SearchRow</name>
    <message numerus="yes">
        <source>%n on this page</source>
        <translation>
            <numerusform>%n sur cette page</numerusform>
            <numerusform>%n sur cette page</numerusform>
        </translation>
    </message>
    <message>
        <source>Any time</source>
        <translation>Toute la période</translation>
    </message>
    <message>
        <source>Decisions</source>
        <translation>Décisions</translation>
    </message>
    <message>
        <source>End the search (Escape)</source>
        <translation>Terminer la recherche (Échap)</translation>
    </message>
    <message>
        <source>Everything</source>
        <translation>Tout</translation>
    </message>
    <message>
        <source>Failed or refused</source>
        <translation>Échec ou refus</translation>
    </message>
    <message>
        <source>Kind of entry</source>
        <translation>Sorte d’entrée</translation>
    </message>
    <message>
        <source>Last 12 months</source>
        <translation>12 derniers mois</translation>
    </message>
    <message>
        <source>Last 24 hours</source>
        <translation>24 dernières heures</translation>
    </message>
    <message>
        <source>Last 30 days</source>
        <translation>30 derniers jours</translation>
    </message>
    <message>
        <source>Last 7 days</source>
        <translation>7 derniers jours</translation>
    </message>
    <message>
        <source>Next place on this page (F3)</source>
        <translation>Occurrence suivante sur cette page (F3)</translation>
    </message>
    <message>
        <source>Not reviewed yet</source>
        <translation>Pas encore revues</translation>
    </message>
    <message>
        <source>Previous place on this page (Shift+F3)</source>
        <translation>Occurrence précédente sur cette page (Maj+F3)</translation>
    </message>
    <message>
        <source>Program and keys</source>
        <translation>Programme et clés</translation>
    </message>
    <message>
        <source>Search in the record</source>
        <translation>Rechercher dans le registre</translation>
    </message>
    <message>
        <source>Search the guide</source>
        <translation>Rechercher dans le guide</translation>
    </message>
    <message>
        <source>Search the guide (Ctrl+F)</source>
        <translation>Rechercher dans le guide (Ctrl+F)</translation>
    </message>
    <message>
        <source>Search: a name, a reason, a hash, 2026-11-29</source>
        <translation>Rechercher&#xa0;: un nom, un motif, une empreinte, 2026-11-29</translation>
    </message>
    <message>
        <source>Taking part</source>
        <translation>Participation</translation>
    </message>
    <message>
        <source>The guide is in English: search for English words.</source>
        <translation>Le guide est en anglais&#xa0;: cherchez des mots anglais.</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Période</translation>
    </message>
    <message>
        <source>Training and rounds</source>
        <translation>Entraînement et tours</translation>
    </message>
    <message>
        <source>{number} of {count} on this page</source>
        <translation>{number} sur {count} sur cette page</translation>
    </message>
</context>
<context>
    <name>ServedPanel</name>
    <message>
        <source>Coordinator</source>
        <translation>Coordinateur</translation>
    </message>
    <message>
        <source>Host another federation</source>
        <translation>Héberger une autre fédération</translation>
    </message>
    <message>
        <source>Serve it again</source>
        <translation>Remettre en service</translation>
    </message>
    <message>
        <source>Stop serving…</source>
        <translation>Arrêter…</translation>
    </message>
</context>
<context>
    <name>SettingsPage</name>
    <message>
        <source>A support bundle holds versions, settings and the end of the log, without notes, names of files or secrets. You see all of it before it is saved.</source>
        <translation>Un fichier d’assistance contient les versions, les paramètres et la fin du journal, sans notes, noms de fichiers ni secrets. Vous le voyez en entier avant qu’il soit enregistré.</translation>
    </message>
    <message>
        <source>Check the connection</source>
        <translation>Vérifier la connexion</translation>
    </message>
    <message>
        <source>Checks the connection to the coordinator, disk, memory and secret key. It joins nothing.</source>
        <translation>Vérifie la connexion au coordinateur, le disque, la mémoire et la clé secrète. Aucune fédération n’est rejointe.</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>Help from others</source>
        <translation>Se faire aider</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Vérification…</translation>
    </message>
    <message>
        <source>Saved as {path}.</source>
        <translation>Enregistré sous {path}.</translation>
    </message>
    <message>
        <source>Secret key of this site</source>
        <translation>Clé secrète de ce site</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Paramètres</translation>
    </message>
    <message>
        <source>Support bundle…</source>
        <translation>Fichier d’assistance…</translation>
    </message>
    <message>
        <source>This computer has not joined a federation yet. Join checks the connection too.</source>
        <translation>Cet ordinateur n’a pas encore rejoint de fédération. «&#xa0;Rejoindre&#xa0;» vérifie aussi la connexion.</translation>
    </message>
    <message>
        <source>What you choose here is kept on this computer. It applies at once, unless it says otherwise.</source>
        <translation>Ce que vous choisissez ici reste sur cet ordinateur. Cela prend effet aussitôt, sauf mention contraire.</translation>
    </message>
</context>
<context>
    <name>SharedCard</name>
    <message>
        <source>Federation</source>
        <translation>Fédération</translation>
    </message>
    <message>
        <source>Never: words of notes, labels, names of files, your name or your reasons.</source>
        <translation>Jamais&#xa0;: mots des notes, annotations, noms de fichiers, votre nom ou vos motifs.</translation>
    </message>
    <message>
        <source>Only after you approve, round by round: the adapter, and numbers such as counts and scores.</source>
        <translation>Seulement après votre approbation, tour par tour&#xa0;: l’adaptateur, et des nombres tels que des effectifs et des scores.</translation>
    </message>
    <message>
        <source>This site</source>
        <translation>Ce site</translation>
    </message>
    <message>
        <source>This site compared with the federation</source>
        <translation>Ce site à côté de la fédération</translation>
    </message>
    <message>
        <source>What is shared</source>
        <translation>Ce qui est partagé</translation>
    </message>
    <message>
        <source>While you take part: this site&apos;s name and public key, the model&apos;s fingerprint, and how far a round is here.</source>
        <translation>Tant que vous participez&#xa0;: le nom et la clé publique de ce site, l’empreinte du modèle, et l’avancement du tour ici.</translation>
    </message>
</context>
<context>
    <name>SheetHead</name>
    <message>
        <source>Close</source>
        <translation>Fermer</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>Copié</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Copier</translation>
    </message>
    <message>
        <source>Copy the whole fingerprint (sha256)</source>
        <translation>Copier toute l’empreinte (sha256)</translation>
    </message>
    <message>
        <source>Fingerprint</source>
        <translation>Empreinte</translation>
    </message>
    <message>
        <source>Go to your decision</source>
        <translation>Aller à votre décision</translation>
    </message>
    <message>
        <source>To {address}</source>
        <translation>À {address}</translation>
    </message>
</context>
<context>
    <name>SheetView</name>
    <message>
        <source>Every number</source>
        <translation>Tous les nombres</translation>
    </message>
    <message>
        <source>Every number that leaves</source>
        <translation>Tous les nombres qui sortent</translation>
    </message>
    <message>
        <source>Fewer numbers</source>
        <translation>Moins de nombres</translation>
    </message>
    <message>
        <source>For specialists</source>
        <translation>Pour les spécialistes</translation>
    </message>
    <message>
        <source>Hide every number</source>
        <translation>Masquer tous les nombres</translation>
    </message>
    <message>
        <source>How it differs</source>
        <translation>En quoi elle diffère</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Ce que cela apporte</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Couche par couche</translation>
    </message>
    <message>
        <source>Nothing else: no note text, no marked words, no person&apos;s name, no reason.</source>
        <translation>Rien d’autre&#xa0;: aucun texte de note, aucun mot annoté, aucun nom de personne, aucun motif.</translation>
    </message>
    <message>
        <source>Value</source>
        <translation>Valeur</translation>
    </message>
    <message>
        <source>What drift and norm are</source>
        <translation>Ce que sont la dérive et la norme</translation>
    </message>
    <message>
        <source>What leaves</source>
        <translation>Ce qui sort</translation>
    </message>
    <message>
        <source>What stays here</source>
        <translation>Ce qui reste ici</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Ce que signifient ces chiffres</translation>
    </message>
    <message>
        <source>What these words mean</source>
        <translation>Ce que signifient ces mots</translation>
    </message>
</context>
<context>
    <name>SideCard</name>
    <message>
        <source>Choose adapter…</source>
        <translation>Choisir un adaptateur…</translation>
    </message>
    <message>
        <source>The note has not been read with this one yet.</source>
        <translation>Pas encore lu avec celui-ci.</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Ce que signifient ces chiffres</translation>
    </message>
    <message>
        <source>{side}: part of the note that is read</source>
        <translation>{side}&#xa0;: partie de la note déjà lue</translation>
    </message>
    <message>
        <source>{side}: read with</source>
        <translation>{side}&#xa0;: lu avec</translation>
    </message>
    <message>
        <source>{side}: what was found</source>
        <translation>{side}&#xa0;: ce qui a été trouvé</translation>
    </message>
</context>
<context>
    <name>SitesPanel</name>
    <message>
        <source>Begin without the others…</source>
        <translation>Commencer sans les autres…</translation>
    </message>
    <message>
        <source>Choose a site in the table first.</source>
        <translation>Choisissez d’abord un site dans le tableau.</translation>
    </message>
    <message>
        <source>Close the round…</source>
        <translation>Clore le tour…</translation>
    </message>
    <message>
        <source>Confirm…</source>
        <translation>Confirmer…</translation>
    </message>
    <message>
        <source>End and publish…</source>
        <translation>Terminer et publier…</translation>
    </message>
    <message>
        <source>Federation</source>
        <translation>Fédération</translation>
    </message>
    <message>
        <source>Invite a site…</source>
        <translation>Inviter un site…</translation>
    </message>
    <message>
        <source>Invite anew…</source>
        <translation>Réinviter…</translation>
    </message>
    <message>
        <source>Open invitations</source>
        <translation>Invitations en attente</translation>
    </message>
    <message>
        <source>Pause…</source>
        <translation>Pause…</translation>
    </message>
    <message>
        <source>Remove…</source>
        <translation>Retirer…</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Reprendre</translation>
    </message>
    <message>
        <source>Sites</source>
        <translation>Sites</translation>
    </message>
    <message>
        <source>Take back…</source>
        <translation>Retirer…</translation>
    </message>
    <message>
        <source>Wait no longer…</source>
        <translation>Ne plus attendre…</translation>
    </message>
</context>
<context>
    <name>SplitCard</name>
    <message>
        <source>Proposed split</source>
        <translation>Répartition proposée</translation>
    </message>
    <message>
        <source>Write the split…</source>
        <translation>Écrire la répartition…</translation>
    </message>
</context>
<context>
    <name>Stepper</name>
    <message>
        <source>All {count} steps are done</source>
        <translation>Les {count} étapes sont terminées</translation>
    </message>
    <message>
        <source>Step {n} of {count} failed: {word}</source>
        <translation>Étape {n} sur {count}, échec&#xa0;: {word}</translation>
    </message>
    <message>
        <source>Step {n} of {count}: {word}</source>
        <translation>Étape {n} sur {count}&#xa0;: {word}</translation>
    </message>
    <message>
        <source>Steps of this round</source>
        <translation>Étapes de ce tour</translation>
    </message>
</context>
<context>
    <name>StoryRow</name>
    <message>
        <source>The host invites you: with one line, a file, or a QR code. It works once.</source>
        <translation>L’organisateur vous invite&#xa0;: par une ligne, un fichier ou un code QR. L’invitation ne sert qu’une fois.</translation>
    </message>
    <message>
        <source>You compare six words with the host by phone. If they match, nobody is intercepting the connection.</source>
        <translation>Vous comparez six mots avec l’organisateur par téléphone. S’ils concordent, personne n’intercepte la connexion.</translation>
    </message>
    <message>
        <source>You enter it here, with the model and your notes, and join.</source>
        <translation>Vous la saisissez ici, avec le modèle et vos notes, et rejoignez la fédération.</translation>
    </message>
</context>
<context>
    <name>SupportDialog</name>
    <message>
        <source>Cancel</source>
        <translation>Annuler</translation>
    </message>
    <message>
        <source>Content of the support bundle</source>
        <translation>Contenu du fichier d’assistance</translation>
    </message>
    <message>
        <source>Save the support bundle</source>
        <translation>Enregistrer le fichier d’assistance</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>Enregistrer…</translation>
    </message>
</context>
<context>
    <name>TaskPanel</name>
    <message>
        <source>&amp;Answers</source>
        <translation>&amp;Réponses</translation>
    </message>
    <message>
        <source>&amp;Question</source>
        <translation>&amp;Question</translation>
    </message>
    <message>
        <source>&amp;Task</source>
        <translation>&amp;Tâche</translation>
    </message>
    <message>
        <source>Answers to choose from, with | between them</source>
        <translation>Réponses au choix, séparées par |</translation>
    </message>
    <message>
        <source>Does the note say that …?</source>
        <translation>La note dit-elle que…&#xa0;?</translation>
    </message>
    <message>
        <source>Question about the note</source>
        <translation>Question sur la note</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>Tâche</translation>
    </message>
</context>
<context>
    <name>TaskTicks</name>
    <message>
        <source>Tasks</source>
        <translation>Tâches</translation>
    </message>
</context>
<context>
    <name>Tray</name>
    <message>
        <source>Continue training</source>
        <translation>Continuer l’entraînement</translation>
    </message>
    <message>
        <source>Open the window</source>
        <translation>Ouvrir la fenêtre</translation>
    </message>
    <message>
        <source>Pause training</source>
        <translation>Mettre l’entraînement en pause</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Quitter</translation>
    </message>
</context>
<context>
    <name>TrialHead</name>
    <message>
        <source>All files (*)</source>
        <translation>Tous les fichiers (*)</translation>
    </message>
    <message>
        <source>Ctrl+Enter</source>
        <translation>Ctrl+Entrée</translation>
    </message>
    <message>
        <source>Escape</source>
        <translation>Échap</translation>
    </message>
    <message>
        <source>Examples</source>
        <translation>Exemples</translation>
    </message>
    <message>
        <source>Open a note</source>
        <translation>Ouvrir une note</translation>
    </message>
    <message>
        <source>Open note…</source>
        <translation>Ouvrir une note…</translation>
    </message>
    <message>
        <source>Read note</source>
        <translation>Lire la note</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Arrêter</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>Arrêt…</translation>
    </message>
    <message>
        <source>Text files (*.txt *.text *.md)</source>
        <translation>Fichiers texte (*.txt *.text *.md)</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Essayer</translation>
    </message>
</context>
<context>
    <name>TrialPage</name>
    <message>
        <source>Left side</source>
        <translation>Côté gauche</translation>
    </message>
    <message>
        <source>Read it with the base model as well, to compare</source>
        <translation>Lire aussi avec le modèle de base, pour comparer</translation>
    </message>
    <message>
        <source>Research demonstration. Not for diagnosis or treatment.</source>
        <translation>Démonstration de recherche. Pas pour le diagnostic ni le traitement.</translation>
    </message>
    <message>
        <source>Right side</source>
        <translation>Côté droit</translation>
    </message>
    <message>
        <source>The note has not been read with this one yet.</source>
        <translation>Pas encore lu avec celui-ci.</translation>
    </message>
    <message>
        <source>What this adapter finds is shown here.</source>
        <translation>Ce que trouve cet adaptateur s’affiche ici.</translation>
    </message>
    <message>
        <source>What this model finds is shown here.</source>
        <translation>Ce que trouve ce modèle s’affiche ici.</translation>
    </message>
</context>
<context>
    <name>TypeButton</name>
    <message>
        <source>Show or hide these marks</source>
        <translation>Afficher ou masquer ces marques</translation>
    </message>
    <message>
        <source>{type}, {count} marked</source>
        <translation>{type}, {count} marquées</translation>
    </message>
</context>
<context>
    <name>UsualReasons</name>
    <message>
        <source>Take as the reason: {reason}</source>
        <translation>Prendre comme motif&#xa0;: {reason}</translation>
    </message>
    <message>
        <source>Usual reasons</source>
        <translation>Motifs habituels</translation>
    </message>
</context>
<context>
    <name>VerdictCard</name>
    <message>
        <source>Check of the notes</source>
        <translation>Contrôle des notes</translation>
    </message>
    <message>
        <source>Looking through the notes…</source>
        <translation>Examen des notes…</translation>
    </message>
    <message>
        <source>Nothing could be read.</source>
        <translation>Rien n’a pu être lu.</translation>
    </message>
    <message>
        <source>{n} rows so far</source>
        <translation>{n} lignes jusqu’ici</translation>
    </message>
</context>
<context>
    <name>WelcomePage</name>
    <message>
        <source>Back</source>
        <translation>Retour</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Continuer</translation>
    </message>
    <message>
        <source>Finish</source>
        <translation>Terminer</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Rejoindre</translation>
    </message>
    <message>
        <source>Not now, take me to the program</source>
        <translation>Pas maintenant, aller au programme</translation>
    </message>
    <message>
        <source>Pages of the first run</source>
        <translation>Pages du premier démarrage</translation>
    </message>
    <message>
        <source>Skip this page</source>
        <translation>Passer cette page</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>Cet ordinateur</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>Dans quel but</translation>
    </message>
    <message>
        <source>Your notes</source>
        <translation>Vos notes</translation>
    </message>
</context>
<context>
    <name>WherePanel</name>
    <message>
        <source>A coordinator on this computer…</source>
        <translation>Un coordinateur sur cet ordinateur…</translation>
    </message>
    <message>
        <source>Coordinator&apos;s address</source>
        <translation>Adresse du coordinateur</translation>
    </message>
    <message>
        <source>From a picture…</source>
        <translation>À partir d’une image…</translation>
    </message>
    <message>
        <source>Invitation</source>
        <translation>Invitation</translation>
    </message>
    <message>
        <source>Invitations (*{suffix} *.txt)</source>
        <translation>Invitations (*{suffix} *.txt)</translation>
    </message>
    <message>
        <source>Name of this site</source>
        <translation>Nom de ce site</translation>
    </message>
    <message>
        <source>Of a coordinator that runs on this computer.</source>
        <translation>D’un coordinateur qui tourne sur cet ordinateur.</translation>
    </message>
    <message>
        <source>Once connected, Rounds shows six words. Compare them with the host by phone, at a number that you already have.</source>
        <translation>Une fois ce site connecté, la page Tours affiche six mots. Comparez-les avec l’organisateur par téléphone, à un numéro que vous avez déjà.</translation>
    </message>
    <message>
        <source>Open a picture of the QR code</source>
        <translation>Ouvrir une image du code QR</translation>
    </message>
    <message>
        <source>Open an invitation</source>
        <translation>Ouvrir une invitation</translation>
    </message>
    <message>
        <source>Open file…</source>
        <translation>Ouvrir un fichier…</translation>
    </message>
    <message>
        <source>Paste the host&apos;s line, or drop its file or a picture of its QR code anywhere on this page.</source>
        <translation>Collez la ligne de l’organisateur, ou déposez son fichier ou une image de son code QR n’importe où sur cette page.</translation>
    </message>
    <message>
        <source>Pictures ({kinds})</source>
        <translation>Images ({kinds})</translation>
    </message>
    <message>
        <source>The coordinator sees it. It stays yours in this federation.</source>
        <translation>Le coordinateur le voit. Il reste le vôtre dans cette fédération.</translation>
    </message>
    <message>
        <source>With an invitation…</source>
        <translation>Avec une invitation…</translation>
    </message>
</context>
<context>
    <name>Window</name>
    <message>
        <source>End the demonstration…</source>
        <translation>Terminer la démonstration…</translation>
    </message>
    <message>
        <source>Guide to this page</source>
        <translation>Guide de cette page</translation>
    </message>
    <message>
        <source>Host a federation…</source>
        <translation>Héberger une fédération…</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Ouvrir une expérience…</translation>
    </message>
    <message>
        <source>Open the log file</source>
        <translation>Ouvrir le fichier journal</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Quitter</translation>
    </message>
    <message>
        <source>Settings…</source>
        <translation>Paramètres…</translation>
    </message>
    <message>
        <source>Stop taking part…</source>
        <translation>Ne plus participer…</translation>
    </message>
</context>
<context>
    <name>WorkStrip</name>
    <message>
        <source>Continue</source>
        <translation>Continuer</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Pause</translation>
    </message>
    <message>
        <source>Progress of the work on this computer</source>
        <translation>Avancement du travail sur cet ordinateur</translation>
    </message>
    <message>
        <source>{headline} · not sent</source>
        <translation>{headline} · non envoyé</translation>
    </message>
    <message>
        <source>{site}: {line}</source>
        <translation>{site}&#xa0;: {line}</translation>
    </message>
    <message>
        <source>{size} GB memory</source>
        <translation>{size} Go de mémoire</translation>
    </message>
</context>
<context>
    <name>_Session</name>
    <message>
        <source>About {method}</source>
        <translation>À propos de {method}</translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation>Délais</translation>
    </message>
    <message>
        <source>Each model&apos;s score, out of 100, on test notes that were never trained on: all sites&apos; notes together, and each site&apos;s own.</source>
        <translation>Le score de chaque modèle, sur 100, sur des notes de test qui n’ont jamais servi à l’entraînement&#xa0;: celles de tous les sites ensemble, et celles de chaque site.</translation>
    </message>
    <message>
        <source>It took {time}. The full report is {path}.</source>
        <translation>Durée&#xa0;: {time}. Le rapport complet se trouve à {path}.</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Rejoindre une fédération</translation>
    </message>
    <message>
        <source>Results</source>
        <translation>Résultats</translation>
    </message>
    <message>
        <source>Scores of the demonstration</source>
        <translation>Scores de la démonstration</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Voir une démonstration</translation>
    </message>
    <message>
        <source>Six words</source>
        <translation>Six mots</translation>
    </message>
    <message>
        <source>Your rounds so far</source>
        <translation>Vos tours jusqu’ici</translation>
    </message>
</context>
<context>
    <name>errors</name>
    <message>
        <source>--shard-base splits the base model over the processes of one site, but only one process is running. Start it under torchrun, with --nproc-per-node and the number of GPUs.</source>
        <translation>--shard-base répartit le modèle de base entre les processus d’un site, mais un seul processus est en cours. Lancez-le avec torchrun, avec --nproc-per-node et le nombre de GPU.</translation>
    </message>
    <message>
        <source>A 4-bit base model needs the package bitsandbytes, which is not installed. Install fedmed-desktop[gpu], or continue without 4 bits.</source>
        <translation>Un modèle de base en 4 bits exige le paquet bitsandbytes, qui n’est pas installé. Installez fedmed-desktop[gpu], ou continuez sans les 4 bits.</translation>
    </message>
    <message>
        <source>A base model in 4 bits cannot be split over several GPUs. Leave out --nf4 or --shard-base.</source>
        <translation>Un modèle de base en 4 bits ne peut pas être réparti sur plusieurs GPU. Omettez --nf4 ou --shard-base.</translation>
    </message>
    <message>
        <source>A column cannot be {role}. Choose from: {known}.</source>
        <translation>{role} n’est pas un rôle possible pour une colonne. Choisissez parmi&#xa0;: {known}.</translation>
    </message>
    <message>
        <source>A connection to {address} takes {milliseconds} ms.</source>
        <translation>Une connexion à {address} est possible, en {milliseconds} ms.</translation>
    </message>
    <message>
        <source>A coordinator is running with {path}. Check a backup instead, which --backup makes while it runs; or stop it first.</source>
        <translation>Un coordinateur utilise {path} en ce moment. Vérifiez plutôt une sauvegarde, que --backup crée pendant qu’il tourne&#xa0;; ou arrêtez-le d’abord.</translation>
    </message>
    <message>
        <source>A note of {corpus} has no {what}, so the notes cannot be split by it. Choose another split.by.</source>
        <translation>Une note de {corpus} n’a pas de {what}&#xa0;; les notes ne peuvent donc pas être réparties ainsi. Choisissez un autre split.by.</translation>
    </message>
    <message>
        <source>A piece of an adapter cannot be accepted: {reason}. The transfer starts again.</source>
        <translation>Un morceau d’adaptateur ne peut pas être accepté&#xa0;: {reason}. Le transfert recommence.</translation>
    </message>
    <message>
        <source>A question needs at least two answers to choose from. Write | between them.</source>
        <translation>Une question demande au moins deux réponses au choix. Séparez-les par |.</translation>
    </message>
    <message>
        <source>A rule needs a reason: say in a few words why every update may be sent.</source>
        <translation>Une règle exige un motif&#xa0;: dites en quelques mots pourquoi chaque mise à jour peut être envoyée.</translation>
    </message>
    <message>
        <source>A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing was taken from it. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation>Une signature ({purpose}) ne vient pas de la clé d’empreinte {fingerprint}. Rien n’en a été repris. Si cela se reproduit, prévenez l’organisateur&#xa0;: quelqu’un modifie peut-être ce qui est envoyé.</translation>
    </message>
    <message>
        <source>A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing was taken from that message. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation>Une signature ({purpose}) ne vient pas de la clé d’empreinte {fingerprint}. Rien n’a été repris de ce message. Si cela se reproduit, prévenez l’organisateur&#xa0;: quelqu’un modifie peut-être ce qui est envoyé.</translation>
    </message>
    <message>
        <source>A stored update of {sites} in round {round} is missing or damaged. The site is asked to send it again when it is connected.</source>
        <translation>Une mise à jour enregistrée de {sites} au tour {round} manque ou est endommagée. Le site sera prié de la renvoyer dès qu’il sera connecté.</translation>
    </message>
    <message>
        <source>All notes belong together, so they cannot be split into train and validation. Add notes of other patients or documents.</source>
        <translation>Toutes les notes vont ensemble, elles ne peuvent donc pas être réparties entre entraînement et validation. Ajoutez des notes d’autres patients ou documents.</translation>
    </message>
    <message>
        <source>An invitation must say where sites find this coordinator. Give --public-address HOST:PORT, here or when you start the coordinator.</source>
        <translation>Une invitation doit dire où les sites trouvent ce coordinateur. Donnez --public-address HOST:PORT, ici ou au démarrage du coordinateur.</translation>
    </message>
    <message>
        <source>An update from this site already counts in this round. A second one is not accepted.</source>
        <translation>Une mise à jour de ce site compte déjà dans ce tour. Une deuxième n’est pas acceptée.</translation>
    </message>
    <message>
        <source>Another connection with the name {site} replaced this one. Run each site only once.</source>
        <translation>Une autre connexion au nom de {site} a remplacé celle-ci. Ne lancez chaque site qu’une fois.</translation>
    </message>
    <message>
        <source>Another fedmed-desktop has been writing to {path} for several seconds. Try again in a moment.</source>
        <translation>Un autre fedmed-desktop écrit dans {path} depuis plusieurs secondes. Réessayez dans un instant.</translation>
    </message>
    <message>
        <source>Another fedmed-desktop has the folder {path} open. This one saves no settings and no log, and cannot take part in the other one&apos;s federation. Close one of them, or start with another --data-dir.</source>
        <translation>Un autre fedmed-desktop a ouvert le dossier {path}. Celui-ci n’enregistre ni paramètres ni journal, et ne peut pas prendre part à la fédération de l’autre. Fermez l’un des deux, ou démarrez avec un autre --data-dir.</translation>
    </message>
    <message>
        <source>Another process of this site has ended or does not answer, so this one ends too. The other&apos;s last messages are above. Start torchrun again with the same --data-dir: training continues from its checkpoint.</source>
        <translation>Un autre processus de ce site s’est terminé ou ne répond pas&#xa0;; celui-ci s’arrête donc aussi. Les derniers messages de l’autre figurent ci-dessus. Relancez torchrun avec le même --data-dir&#xa0;: l’entraînement reprend à son point de sauvegarde.</translation>
    </message>
    <message>
        <source>Another program answers at {address}, not a coordinator. Check the address and the port with the host.</source>
        <translation>Un autre programme répond à {address}, pas un coordinateur. Vérifiez l’adresse et le port avec l’organisateur.</translation>
    </message>
    <message>
        <source>Another round has closed in the meantime, so there is a newer common adapter. Look at that one, then publish it.</source>
        <translation>Un autre tour a été clos entre-temps, et son adaptateur est maintenant l’adaptateur commun. Regardez-le, puis publiez celui-là.</translation>
    </message>
    <message>
        <source>Another site has already joined with the name {site}. Choose another --name, or use the data folder that this site joined with.</source>
        <translation>Un autre site a déjà rejoint la fédération sous le nom {site}. Choisissez un autre --name, ou utilisez le dossier de données avec lequel ce site l’a rejointe.</translation>
    </message>
    <message>
        <source>Both sides speak version {version} of the protocol.</source>
        <translation>Les deux côtés parlent la version {version} du protocole.</translation>
    </message>
    <message>
        <source>Connections to {address} would not be encrypted. Only addresses of this computer, such as 127.0.0.1, are served without a certificate.</source>
        <translation>Les connexions à {address} ne seraient pas chiffrées. Sans certificat, le coordinateur ne peut servir que des adresses de cet ordinateur, telles que 127.0.0.1.</translation>
    </message>
    <message>
        <source>Differential privacy is computed by one process, and this site trains in several. Start it without torchrun.</source>
        <translation>La confidentialité différentielle est calculée par un seul processus, et ce site s’entraîne dans plusieurs. Démarrez-le sans torchrun.</translation>
    </message>
    <message>
        <source>Differential privacy needs numbers that do not overflow, and this GPU computes in float16. Train on a GPU with bfloat16, or on the CPU.</source>
        <translation>La confidentialité différentielle exige des nombres qui ne débordent pas, et ce GPU calcule en float16. Entraînez sur un GPU avec bfloat16, ou sur le CPU.</translation>
    </message>
    <message>
        <source>Directions were not compared, as there are only {updates} updates: three are needed.</source>
        <translation>Les directions n’ont pas été comparées, car il n’y a que {updates} mises à jour&#xa0;: il en faut trois.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be.</source>
        <translation>Chaque site entier est caché par la confidentialité différentielle&#xa0;: epsilon {epsilon} (delta {delta}) pour tous les tours ensemble&#xa0;; plus il est petit, mieux c’est. Chaque site ajoute sa part du bruit à ce qu’il masque, de sorte que personne ne le voit sans bruit. Tous les sites comptent de la même façon. Avec {sites} sites, le bruit d’un tour est environ {times} fois plus grand que ne peut l’être leur mise à jour moyenne.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: expect to learn slowly, and little.</source>
        <translation>Chaque site entier est caché par la confidentialité différentielle&#xa0;: epsilon {epsilon} (delta {delta}) pour tous les tours ensemble&#xa0;; plus il est petit, mieux c’est. Chaque site ajoute sa part du bruit à ce qu’il masque, de sorte que personne ne le voit sans bruit. Tous les sites comptent de la même façon. Avec {sites} sites, le bruit d’un tour est environ {times} fois plus grand que ne peut l’être leur mise à jour moyenne&#xa0;: attendez-vous à un apprentissage lent et limité.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: most likely nothing would be learned.</source>
        <translation>Chaque site entier est caché par la confidentialité différentielle&#xa0;: epsilon {epsilon} (delta {delta}) pour tous les tours ensemble&#xa0;; plus il est petit, mieux c’est. Chaque site ajoute sa part du bruit à ce qu’il masque, de sorte que personne ne le voit sans bruit. Tous les sites comptent de la même façon. Avec {sites} sites, le bruit d’un tour est environ {times} fois plus grand que ne peut l’être leur mise à jour moyenne&#xa0;: très probablement, rien ne serait appris.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be.</source>
        <translation>Chaque site entier est caché par la confidentialité différentielle&#xa0;: epsilon {epsilon} (delta {delta}) pour tous les tours ensemble&#xa0;; plus il est petit, mieux c’est. Le coordinateur ajoute le bruit et voit chaque mise à jour telle qu’elle est. Tous les sites comptent de la même façon. Avec {sites} sites, le bruit d’un tour est environ {times} fois plus grand que ne peut l’être leur mise à jour moyenne.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: expect to learn slowly, and little.</source>
        <translation>Chaque site entier est caché par la confidentialité différentielle&#xa0;: epsilon {epsilon} (delta {delta}) pour tous les tours ensemble&#xa0;; plus il est petit, mieux c’est. Le coordinateur ajoute le bruit et voit chaque mise à jour telle qu’elle est. Tous les sites comptent de la même façon. Avec {sites} sites, le bruit d’un tour est environ {times} fois plus grand que ne peut l’être leur mise à jour moyenne&#xa0;: attendez-vous à un apprentissage lent et limité.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: most likely nothing would be learned.</source>
        <translation>Chaque site entier est caché par la confidentialité différentielle&#xa0;: epsilon {epsilon} (delta {delta}) pour tous les tours ensemble&#xa0;; plus il est petit, mieux c’est. Le coordinateur ajoute le bruit et voit chaque mise à jour telle qu’elle est. Tous les sites comptent de la même façon. Avec {sites} sites, le bruit d’un tour est environ {times} fois plus grand que ne peut l’être leur mise à jour moyenne&#xa0;: très probablement, rien ne serait appris.</translation>
    </message>
    <message>
        <source>Files in the folder that are not read as notes: {count} ({names}). If they are notes, put them into a format that is read, or into a separate folder.</source>
        <translation>Fichiers du dossier qui ne sont pas lus comme des notes&#xa0;: {count} ({names}). Si ce sont des notes, mettez-les dans un format lu, ou dans un dossier à part.</translation>
    </message>
    <message>
        <source>Files of the model in {path} changed while the program was about to load it. Start again; the program will then check the model again.</source>
        <translation>Des fichiers du modèle dans {path} ont changé alors que le programme allait le charger. Redémarrez&#xa0;; le programme vérifiera alors à nouveau le modèle.</translation>
    </message>
    <message>
        <source>Give --bundle-in and --bundle-out together: the file that came from the host, and another file, which goes back.</source>
        <translation>Donnez --bundle-in et --bundle-out ensemble&#xa0;: le fichier venu de l’organisateur, et un autre, qui lui revient.</translation>
    </message>
    <message>
        <source>Give either an invitation or the address of a coordinator on this computer, not both.</source>
        <translation>Donnez soit une invitation, soit l’adresse d’un coordinateur sur cet ordinateur, pas les deux.</translation>
    </message>
    <message>
        <source>Groups of nearly identical notes that are in more than one split: {count}. A model is then tested on what it was trained on, and its scores look too good. Move each group into one split.</source>
        <translation>Groupes de notes presque identiques présentes dans plusieurs parties&#xa0;: {count}. Un modèle est alors testé sur ce qui a servi à l’entraîner, et ses scores paraissent trop bons. Mettez chaque groupe dans une seule partie.</translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for rank {rank}, but this site&apos;s limit is {cap} (--rank-cap). The site takes part again when the coordinator asks for a lower rank.</source>
        <translation>Au tour {round}, le coordinateur demande le rang {rank}, mais la limite de ce site est {cap} (--rank-cap). Le site participera à nouveau quand le coordinateur demandera un rang plus bas.</translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for something other than what the federation&apos;s specification says about {method}. Nothing is trained and nothing leaves this site. Tell the host of the federation; the coordinator and the sites must use the same program.</source>
        <translation>Au tour {round}, le coordinateur demande autre chose que ce que la spécification de la fédération dit de {method}. Rien n’est entraîné et rien ne sort de ce site. Prévenez l’organisateur de la fédération&#xa0;; le coordinateur et les sites doivent utiliser le même programme.</translation>
    </message>
    <message>
        <source>It is not in a keyring because a coordinator must start without anybody signed in.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car un coordinateur doit démarrer sans que personne soit connecté.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not answer in time when the key was made.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car le trousseau n’a pas répondu à temps quand la clé a été créée.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not give back what was stored in it.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car le trousseau n’a pas rendu ce qui y avait été enregistré.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring refused to store it.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car le trousseau a refusé de l’enregistrer.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring was locked when the key was made.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car le trousseau était verrouillé quand la clé a été créée.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the one of this account writes secrets as plain text or asks for a password in a terminal.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car celui de ce compte écrit les secrets en clair ou demande un mot de passe dans un terminal.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the program was started without a screen.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car le programme a été démarré sans écran.</translation>
    </message>
    <message>
        <source>It is not in a keyring because this computer has none that can be used.</source>
        <translation>Elle n’est pas dans un trousseau de clés, car cet ordinateur n’en a aucun d’utilisable.</translation>
    </message>
    <message>
        <source>It is the coordinator of the invitation (fingerprint {fingerprint}).</source>
        <translation>C’est bien le coordinateur de l’invitation (empreinte {fingerprint}).</translation>
    </message>
    <message>
        <source>Models of up to about {number} billion weights. That is a guess from the memory; once you have chosen a model, the check on Join counts.</source>
        <translation>Des modèles jusqu’à environ {number} milliards de poids. C’est une estimation d’après la mémoire&#xa0;; une fois que vous aurez choisi un modèle, c’est la vérification sur la page «&#xa0;Rejoindre&#xa0;» qui compte.</translation>
    </message>
    <message>
        <source>Models of up to about {number} million weights. That is a guess from the memory; once you have chosen a model, the check on Join counts.</source>
        <translation>Des modèles jusqu’à environ {number} millions de poids. C’est une estimation d’après la mémoire&#xa0;; une fois que vous aurez choisi un modèle, c’est la vérification sur la page «&#xa0;Rejoindre&#xa0;» qui compte.</translation>
    </message>
    <message>
        <source>Module {module} has different scales at different sites, so its factors cannot be averaged. Write combine = &quot;product&quot; in the federation&apos;s specification.</source>
        <translation>Le module {module} a des échelles différentes selon les sites&#xa0;; la moyenne de ses facteurs est donc impossible. Écrivez combine = &quot;product&quot; dans la spécification de la fédération.</translation>
    </message>
    <message>
        <source>Nearly identical notes: {count}, in {groups} groups. They count more than once in training; keep each group in one split.</source>
        <translation>Notes presque identiques à une autre&#xa0;: {count}, en {groups} groupes. Elles comptent plusieurs fois à l’entraînement&#xa0;; gardez chaque groupe dans une seule partie.</translation>
    </message>
    <message>
        <source>No CUDA device was found. Check the driver, or train on the CPU.</source>
        <translation>Aucun périphérique CUDA n’a été trouvé. Vérifiez le pilote, ou entraînez sur le CPU.</translation>
    </message>
    <message>
        <source>No GPU was found that the program can use. Training runs on the processor, which takes many times longer. Small models and the demonstration work well.</source>
        <translation>Aucun GPU que le programme puisse utiliser n’a été trouvé. L’entraînement se fait sur le processeur, ce qui prend beaucoup plus de temps. Les petits modèles et la démonstration fonctionnent bien.</translation>
    </message>
    <message>
        <source>No QR code can be made out in this picture. Take one that shows the whole code, sharp and straight from the front; or paste the line instead.</source>
        <translation>Aucun code QR n’est lisible dans cette image. Prenez-en une qui montre le code entier, net et bien de face&#xa0;; ou collez plutôt la ligne.</translation>
    </message>
    <message>
        <source>No connection to {address} can be made. A firewall in between may be blocking it: ask the people who run this network to allow outgoing TCP connections to {host}, port {port}; or enter the proxy that they use.</source>
        <translation>Aucune connexion à {address} n’est possible. Un pare-feu entre les deux la bloque peut-être&#xa0;: demandez aux responsables de ce réseau d’autoriser les connexions TCP sortantes vers {host}, port {port}&#xa0;; ou indiquez le proxy qu’ils utilisent.</translation>
    </message>
    <message>
        <source>No coordinator answers on {address}. Start one, or give its --host and --port.</source>
        <translation>Aucun coordinateur ne répond à {address}. Démarrez-en un, ou donnez son --host et son --port.</translation>
    </message>
    <message>
        <source>No coordinator has run with the folder {path}. Check --data-dir; or start the coordinator with it first.</source>
        <translation>Aucun coordinateur n’a tourné avec le dossier {path}. Vérifiez --data-dir&#xa0;; ou démarrez d’abord le coordinateur avec lui.</translation>
    </message>
    <message>
        <source>No corpus of the sites has labels for the task {task}. Add one that has, or leave the task out.</source>
        <translation>Aucun corpus des sites n’est annoté pour la tâche {task}. Ajoutez-en un qui l’est, ou omettez la tâche.</translation>
    </message>
    <message>
        <source>No encrypted connection to the coordinator at {address} could be made: {reason}. This site keeps trying.</source>
        <translation>Aucune connexion chiffrée au coordinateur à l’adresse {address} n’a pu s’établir&#xa0;: {reason}. Ce site continue d’essayer.</translation>
    </message>
    <message>
        <source>No federation is known in {path}, or another program is using that folder. Name the folder of a site that took part, close the desktop that works with it, or use --federation, --adapter and --out.</source>
        <translation>Aucune fédération n’est connue dans {path}, ou un autre programme utilise ce dossier. Indiquez le dossier d’un site qui a participé, fermez le programme qui l’utilise, ou employez --federation, --adapter et --out.</translation>
    </message>
    <message>
        <source>No format fits {name}: {seen}. These formats are read: {formats}.</source>
        <translation>Aucun format ne convient à {name}&#xa0;: {seen}. Les formats lus sont&#xa0;: {formats}.</translation>
    </message>
    <message>
        <source>No invitation was found here. An invitation is one line that begins with fedmed: and comes from the host.</source>
        <translation>Il n’y a pas d’invitation ici. C’est une seule ligne qui commence par fedmed: et vient de l’organisateur.</translation>
    </message>
    <message>
        <source>No proxy is used.</source>
        <translation>Aucun proxy n’est utilisé.</translation>
    </message>
    <message>
        <source>No round has been closed yet, so there is no adapter of this federation to publish.</source>
        <translation>Aucun tour n’a encore été clos&#xa0;: cette fédération n’a pas encore d’adaptateur à publier.</translation>
    </message>
    <message>
        <source>No site annotates {type}: each has notes of a corpus that does not, or has no such entity. Remove it from types, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation>Aucun site n’annote {type}&#xa0;: chacun a des notes d’un corpus qui ne le fait pas, ou n’a aucune entité de ce type. Retirez-le de types, ou répartissez par &quot;corpus&quot; avec autant de sites que de corpus.</translation>
    </message>
    <message>
        <source>No site has the name {site}, and no fingerprint begins with it. --sites lists all of them.</source>
        <translation>Aucun site ne s’appelle {site}, et aucune empreinte ne commence ainsi. Voyez --sites pour les avoir tous.</translation>
    </message>
    <message>
        <source>No type of entity is chosen. Choose at least one, such as drug.</source>
        <translation>Aucun type d’entité n’est choisi. Choisissez-en au moins un, par exemple drug.</translation>
    </message>
    <message>
        <source>No type of the experiment is annotated in all corpora of {site}. Add a type that all of them have, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation>Aucun type de l’expérience n’est annoté dans tous les corpus de {site}. Ajoutez un type qu’ils ont tous, ou répartissez par &quot;corpus&quot; avec autant de sites que de corpus.</translation>
    </message>
    <message>
        <source>No validation note has labels for {tasks}, so what is learned for this is never scored here. Add such notes to the validation notes.</source>
        <translation>Aucune note de validation n’est annotée pour {tasks}&#xa0;; ce qui en est appris ici n’est donc jamais évalué. Ajoutez de telles notes aux notes de validation.</translation>
    </message>
    <message>
        <source>None of the columns of {name} is known to hold the notes&apos; text (found: {found}). Rename the column to text, or say which column holds the text.</source>
        <translation>Parmi les colonnes de {name}, aucune n’est connue pour contenir le texte des notes (trouvé&#xa0;: {found}). Renommez la colonne en text, ou indiquez laquelle contient le texte.</translation>
    </message>
    <message>
        <source>None of the training notes has labels for the federation&apos;s tasks ({tasks}), so there is nothing to learn. Check that the notes have them, such as answers for questions.</source>
        <translation>Aucune des notes d’entraînement n’est annotée pour les tâches de la fédération ({tasks})&#xa0;; il n’y a donc rien à apprendre. Vérifiez que les notes le sont, par exemple avec des réponses aux questions.</translation>
    </message>
    <message>
        <source>None of the types in these notes ({found}) is part of the federation, so nothing could be learned. Add a types map with rows such as Chemical = &quot;drug&quot;.</source>
        <translation>Aucun des types de ces notes ({found}) ne fait partie de la fédération&#xa0;; rien ne pourrait donc être appris. Ajoutez une table des types avec des lignes telles que Chemical = &quot;drug&quot;.</translation>
    </message>
    <message>
        <source>None of the types in these notes is known to the federation. Found: {found}; the federation&apos;s types: {expected}. Add a types map.</source>
        <translation>Aucun des types de ces notes n’est connu de la fédération. Trouvés&#xa0;: {found}&#xa0;; types de la fédération&#xa0;: {expected}. Ajoutez une table des types.</translation>
    </message>
    <message>
        <source>None of the {notes} {split} notes has an entity of the federation&apos;s types, so there is nothing to learn or to score. Check that the notes are annotated, under a key that is read (keys that are not: {unread}), and that types.toml names their types.</source>
        <translation>Aucune des {notes} notes «&#xa0;{split}&#xa0;» n’a d’entité des types de la fédération&#xa0;; il n’y a donc rien à apprendre ni à évaluer. Vérifiez que les notes sont annotées, sous une clé qui est lue (clés qui ne le sont pas&#xa0;: {unread}), et que types.toml nomme leurs types.</translation>
    </message>
    <message>
        <source>Norms were not compared, as only {updates} updates are known: three are needed.</source>
        <translation>Les normes n’ont pas été comparées, car seules {updates} mises à jour sont connues&#xa0;: il en faut trois.</translation>
    </message>
    <message>
        <source>Notes with a part that is too long for {most} tokens and is left out: {count}. Ask the host for a larger max_tokens, or shorten the longest mentions.</source>
        <translation>Notes dont une partie reste trop longue pour {most} tokens et est omise&#xa0;: {count}. Demandez à l’organisateur un max_tokens plus grand, ou raccourcissez les plus longues mentions.</translation>
    </message>
    <message>
        <source>Notes with something that looks like an identifier of a patient: {count}. Look at the rows listed here, and remove what does not belong there.</source>
        <translation>Notes contenant quelque chose qui ressemble à l’identifiant d’un patient&#xa0;: {count}. Regardez les lignes indiquées, et retirez ce qui n’a rien à y faire.</translation>
    </message>
    <message>
        <source>Notes without any label: {count}. A task learns from them only if they were annotated for it and nothing was found.</source>
        <translation>Notes sans aucune annotation&#xa0;: {count}. Une tâche n’en apprend que si elles ont été annotées pour elle sans que rien y soit trouvé.</translation>
    </message>
    <message>
        <source>Nothing can be written in {path}. Choose another folder.</source>
        <translation>Rien ne peut être écrit dans {path}. Choisissez un autre dossier.</translation>
    </message>
    <message>
        <source>Nothing can listen on port {port} of {address} here: {reason}. Give an address of this computer (0.0.0.0 for all of them), and a port from 1024 on.</source>
        <translation>Rien ne peut écouter ici sur le port {port} de {address}&#xa0;: {reason}. Donnez une adresse de cet ordinateur (0.0.0.0 pour toutes), et un port à partir de 1024.</translation>
    </message>
    <message>
        <source>Nothing is trained, because too little of the privacy budget is left: {spent} of epsilon {epsilon} is spent, and {steps} more steps would need so much noise that nothing could be learned. This site can take part with more notes, or in a federation with fewer rounds or steps, or with a larger epsilon.</source>
        <translation>Rien n’est entraîné, car il reste trop peu du budget de confidentialité&#xa0;: {spent} sur epsilon {epsilon} est consommé, et {steps} pas de plus demanderaient tant de bruit que rien ne pourrait être appris. Ce site peut participer avec davantage de notes, ou dans une fédération avec moins de tours ou de pas, ou avec un epsilon plus grand.</translation>
    </message>
    <message>
        <source>Nothing leaves this site until the policy in {path} is right: {key}: {reason}.</source>
        <translation>Rien ne sort de ce site tant que la politique dans {path} n’est pas correcte&#xa0;: {key}&#xa0;: {reason}.</translation>
    </message>
    <message>
        <source>Nothing leaves this site: the policy in {path} cannot be read: {reason}. Correct that file.</source>
        <translation>Rien ne sort de ce site&#xa0;: la politique dans {path} ne peut pas être lue&#xa0;: {reason}. Réparez ce fichier.</translation>
    </message>
    <message>
        <source>Nothing leaves this site: {path} is this computer&apos;s policy, and accounts other than the administrator&apos;s can change it. Make the administrator its owner, and let nobody else write to it or its folder.</source>
        <translation>Rien ne sort de ce site&#xa0;: {path} est la politique de cet ordinateur, et d’autres que l’administrateur peuvent la modifier. Faites-en la propriété de l’administrateur, et ne laissez personne d’autre écrire dans ce fichier ni dans son dossier.</translation>
    </message>
    <message>
        <source>Only {free} is free for the folder {path}, and about {needed} is needed. Free some space, or choose a folder on another disk.</source>
        <translation>Il n’y a que {free} de libre pour le dossier {path}, et il en faut environ {needed}. Libérez de l’espace, ou choisissez un dossier sur un autre disque.</translation>
    </message>
    <message>
        <source>Only {sites} sites have agreed on what is summed, and {least} are needed before it can be opened.</source>
        <translation>Seuls {sites} sites se sont accordés sur ce qui est additionné, et il en faut {least} avant de pouvoir ouvrir la somme.</translation>
    </message>
    <message>
        <source>Only {sites} sites mask together, and {least} are needed: from a sum of fewer, a single update could be worked out.</source>
        <translation>Seuls {sites} sites masquent ensemble, et il en faut {least}&#xa0;: à partir d’une somme plus petite, on pourrait découvrir une mise à jour isolée.</translation>
    </message>
    <message>
        <source>Other accounts of this computer can read the secret key in {path}, so it is not used. If nobody else can have read it, make it private (chmod 600) and start again. Otherwise remove it together with identity.json; a site then needs a new invitation with a new key.</source>
        <translation>D’autres comptes de cet ordinateur peuvent lire la clé secrète dans {path}&#xa0;; elle n’est donc pas utilisée. Si personne d’autre n’a pu la lire, rendez-la privée (chmod 600) et redémarrez. Sinon, supprimez-la ainsi que identity.json&#xa0;; un site a alors besoin d’une nouvelle invitation avec une nouvelle clé.</translation>
    </message>
    <message>
        <source>Patients or documents in the training notes that are in the validation or test notes too: {count}. What is measured on those has no noise, so they would not be protected. Nothing is trained. Split the notes so that all of a patient&apos;s or a document&apos;s stay together (--check-notes NOTES --split-into FOLDER).</source>
        <translation>Patients ou documents des notes d’entraînement présents aussi dans les notes de validation ou de test&#xa0;: {count}. Ce qui est mesuré sur celles-ci n’a pas de bruit&#xa0;; ils ne seraient donc pas protégés. Rien n’est entraîné. Répartissez les notes en gardant ensemble toutes celles d’un même patient ou document (--check-notes NOTES --split-into FOLDER).</translation>
    </message>
    <message>
        <source>Port {port} and those after it are used by other programs on this computer. Choose another.</source>
        <translation>Le port {port} et les suivants sont utilisés par d’autres programmes de cet ordinateur. Choisissez-en un autre.</translation>
    </message>
    <message>
        <source>Port {port} is used by another program on this computer. Choose another, such as {free}.</source>
        <translation>Le port {port} est utilisé par un autre programme de cet ordinateur. Choisissez-en un autre, par exemple {free}.</translation>
    </message>
    <message>
        <source>Port {port} on {address} is already used by another program. Choose another with {option}.</source>
        <translation>Le port {port} de {address} est déjà utilisé par un autre programme. Choisissez-en un autre avec {option}.</translation>
    </message>
    <message>
        <source>PySide6 {qt} crashes Python {python} within minutes, because it frees None. Install an earlier one: python -m pip install &quot;PySide6-Essentials&lt;6.12&quot;</source>
        <translation>PySide6 {qt} fait planter Python {python} en quelques minutes, car il libère None. Installez une version antérieure&#xa0;: python -m pip install &quot;PySide6-Essentials&lt;6.12&quot;</translation>
    </message>
    <message>
        <source>Qt cannot start because these system libraries are missing: {libraries}. To install them: {how}</source>
        <translation>Qt ne peut pas démarrer car ces bibliothèques du système manquent&#xa0;: {libraries}. Pour les installer&#xa0;: {how}</translation>
    </message>
    <message>
        <source>Ray has {cores} cores, too few for {workers} workers with {threads} threads each. Ask for fewer --workers.</source>
        <translation>Ray a {cores} cœurs, trop peu pour {workers} workers de {threads} threads chacun. Demandez moins de --workers.</translation>
    </message>
    <message>
        <source>Reading {name} needs the package spacy, which is not installed. Install it with: pip install spacy</source>
        <translation>La lecture de {name} exige le paquet spacy, qui n’est pas installé. Installez-le avec&#xa0;: pip install spacy</translation>
    </message>
    <message>
        <source>Round 1 cannot begin: {sites} of the {quorum} sites that a round needs have joined.</source>
        <translation>Le tour 1 ne peut pas commencer&#xa0;: {sites} des {quorum} sites nécessaires à un tour ont rejoint la fédération.</translation>
    </message>
    <message>
        <source>Round {round} cannot be carried by removable medium: its updates are masked, and for that all sites exchange messages several times. Connect this site, or ask the host for a federation without secure aggregation.</source>
        <translation>Le tour {round} ne peut pas passer par un support amovible&#xa0;: ses mises à jour sont masquées, et tous les sites échangent pour cela plusieurs messages. Connectez ce site, ou demandez à l’organisateur une fédération sans agrégation sécurisée.</translation>
    </message>
    <message>
        <source>Round {round} cannot be closed: it has {updates} of the {quorum} updates that it needs.</source>
        <translation>Le tour {round} ne peut pas être clos&#xa0;: il a {updates} des {quorum} mises à jour nécessaires.</translation>
    </message>
    <message>
        <source>Round {round} is closed, and only the sites can open the sum of its updates: {sites} of them are connected or have answered, and {least} are needed. It continues by itself once they are back.</source>
        <translation>Le tour {round} est clos, et seuls les sites peuvent ouvrir la somme de ses mises à jour&#xa0;: {sites} d’entre eux sont connectés ou ont répondu, et il en faut {least}. Cela reprend de soi-même dès leur retour.</translation>
    </message>
    <message>
        <source>Round {round} stopped twice because too few updates were sent. Read above what each site says, then start again.</source>
        <translation>Le tour {round} s’est arrêté deux fois car trop peu de mises à jour ont été envoyées. Lisez ci-dessus ce que dit chaque site, puis redémarrez.</translation>
    </message>
    <message>
        <source>Row {row} of the table {table} in {path} has a value that is no longer allowed: {place}. The nearest allowed value is used instead.</source>
        <translation>La ligne {row} de la table {table} dans {path} a une valeur qui n’est plus permise&#xa0;: {place}. La valeur permise la plus proche est utilisée à la place.</translation>
    </message>
    <message>
        <source>Row {row} of {path} is not a note in the format of this corpus ({reason}). Use the original corpus.</source>
        <translation>La ligne {row} de {path} n’est pas une note au format de ce corpus ({reason}). Utilisez le corpus d’origine.</translation>
    </message>
    <message>
        <source>Rows that cannot be used: {count}. Correct or remove them; training stops at the first.</source>
        <translation>Lignes inutilisables&#xa0;: {count}. Corrigez-les ou supprimez-les&#xa0;; l’entraînement s’arrête à la première.</translation>
    </message>
    <message>
        <source>SOCKS proxies cannot be used. Give an HTTP proxy with --proxy or in Settings, or choose &quot;none&quot;.</source>
        <translation>Les proxys SOCKS ne sont pas utilisables. Donnez un proxy HTTP avec --proxy ou dans Paramètres, ou choisissez &quot;none&quot;.</translation>
    </message>
    <message>
        <source>Sites download the adapter of round {round} in full (float32), because its ranks differ from those of the adapter before it. There is nothing to do.</source>
        <translation>Les sites récupèrent l’adaptateur du tour {round} en entier (float32), car ses rangs diffèrent de ceux du précédent. Il n’y a rien à faire.</translation>
    </message>
    <message>
        <source>Sites download the adapter of round {round} in full (float32): in fewer bits it would have lost {percent} % of what the round changed, and the limit is {most} %. If that happens every round, choose a larger transfer.dtype, or take out transfer.down.</source>
        <translation>Les sites récupèrent l’adaptateur du tour {round} en entier (float32)&#xa0;: avec moins de bits, il aurait perdu {percent}&#xa0;% de ce que le tour a changé, et la limite est de {most}&#xa0;%. Si cela arrive à chaque tour, choisissez un transfer.dtype plus grand, ou retirez transfer.down.</translation>
    </message>
    <message>
        <source>Some pieces of the notes are too long and are left out: {pieces}. They do not fit into {tokens} tokens, even when cut as small as makes sense; nothing is learned from them, and what they contain counts as missed. Shorten them, or ask the host for a larger max_tokens.</source>
        <translation>Morceaux de notes trop longs, donc omis&#xa0;: {pieces}. Ils ne tiennent pas dans {tokens} tokens, même coupés aussi court qu’il est raisonnable&#xa0;; rien n’en est appris, et ce qu’ils contiennent compte comme manqué. Raccourcissez-les, ou demandez à l’organisateur un max_tokens plus grand.</translation>
    </message>
    <message>
        <source>Something stands between this site and the coordinator: the encryption key on the line is {found}, the coordinator&apos;s own is {expected}. Nothing was sent. If your network inspects encrypted traffic, ask its administrators to exempt this address.</source>
        <translation>Quelque chose s’interpose entre ce site et le coordinateur&#xa0;: la clé de chiffrement sur la ligne est {found}, celle du coordinateur est {expected}. Rien n’a été envoyé. Si votre réseau inspecte le trafic chiffré, demandez à ses administrateurs d’en exempter cette adresse.</translation>
    </message>
    <message>
        <source>Something unexpected went wrong in the program ({kind}). Nothing was sent because of it. Start the program again; if this happens again, send the log file to the person who supports the program.</source>
        <translation>Une erreur inattendue s’est produite dans le programme ({kind}). Elle n’a entraîné aucun envoi. Redémarrez le programme&#xa0;; si cela se reproduit, envoyez le fichier journal à la personne qui s’occupe du programme.</translation>
    </message>
    <message>
        <source>That is a guess: the federation&apos;s own settings are not known before this site has joined. These are usual ones: batch size {batch}, up to {tokens} tokens per example, rank {rank}.</source>
        <translation>C’est une estimation&#xa0;: les réglages de la fédération ne sont pas connus avant que ce site l’ait rejointe. En voici d’habituels&#xa0;: lots de {batch}, jusqu’à {tokens} tokens par exemple, rang {rank}.</translation>
    </message>
    <message>
        <source>That is for the federation&apos;s own settings: batch size {batch}, up to {tokens} tokens per example, rank {rank}.</source>
        <translation>C’est pour les réglages de la fédération&#xa0;: lots de {batch}, jusqu’à {tokens} tokens par exemple, rang {rank}.</translation>
    </message>
    <message>
        <source>The QR code in this picture is not an invitation&apos;s. Use the one that the host gave you.</source>
        <translation>Le code QR de cette image n’est pas celui d’une invitation. Utilisez celui que l’organisateur vous a donné.</translation>
    </message>
    <message>
        <source>The Ray engine needs Ray, which is not installed: pip install &apos;fedmed-desktop[cluster]&apos;. Or leave out --engine ray.</source>
        <translation>Le moteur Ray exige Ray, qui n’est pas installé&#xa0;: pip install &apos;fedmed-desktop[cluster]&apos;. Ou omettez --engine ray.</translation>
    </message>
    <message>
        <source>The adapter contains no modules. Choose one that adapts at least one linear layer.</source>
        <translation>L’adaptateur ne contient aucun module. Choisissez-en un qui adapte au moins une couche linéaire.</translation>
    </message>
    <message>
        <source>The adapter file {name} cannot be read: {reason}. Check the folder and its permissions.</source>
        <translation>Le fichier d’adaptateur {name} ne peut pas être lu&#xa0;: {reason}. Vérifiez le dossier et ses droits d’accès.</translation>
    </message>
    <message>
        <source>The adapter has format version {version}; this program knows versions up to {known}. Update fedmed-desktop.</source>
        <translation>L’adaptateur a la version de format {version}&#xa0;; ce programme connaît les versions jusqu’à {known}. Mettez fedmed-desktop à jour.</translation>
    </message>
    <message>
        <source>The adapter has no module {name}. Use adapters made for the same base model.</source>
        <translation>L’adaptateur n’a pas de module {name}. Utilisez des adaptateurs faits pour le même modèle de base.</translation>
    </message>
    <message>
        <source>The adapter has {size} bytes, but its tensors end at byte {expected}. Download it again.</source>
        <translation>L’adaptateur a {size} octets, mais ses tenseurs finissent à l’octet {expected}. Téléchargez-le à nouveau.</translation>
    </message>
    <message>
        <source>The adapter is incomplete: it has {size} bytes, but needs {expected}. Download it again.</source>
        <translation>L’adaptateur est incomplet&#xa0;: il a {size} octets, il en faut {expected}. Téléchargez-le à nouveau.</translation>
    </message>
    <message>
        <source>The adapter that arrived is not the one that was approved: its sha256 is {found}, not {expected}.</source>
        <translation>L’adaptateur arrivé n’est pas celui qui a été approuvé&#xa0;: son sha256 est {found}, et non {expected}.</translation>
    </message>
    <message>
        <source>The adapter {sha256} is not on this disk.</source>
        <translation>L’adaptateur {sha256} n’est pas sur ce disque.</translation>
    </message>
    <message>
        <source>The adapter {sha256} of round {round} could not be rebuilt from its difference, so it is downloaded in full. Nothing is lost. If that happens every round, tell the host.</source>
        <translation>L’adaptateur {sha256} du tour {round} n’a pas pu être reconstruit à partir de sa différence&#xa0;; il est donc récupéré en entier. Rien n’est perdu. Si cela arrive à chaque tour, prévenez l’organisateur.</translation>
    </message>
    <message>
        <source>The adapter {sha256}, which round {round} starts from, is missing or damaged. Copy the file of that name to {path} from a backup, or from the blobs folder of a site.</source>
        <translation>L’adaptateur {sha256}, dont part le tour {round}, manque ou est endommagé. Copiez le fichier de ce nom vers {path} depuis une sauvegarde, ou depuis le dossier blobs d’un site.</translation>
    </message>
    <message>
        <source>The adapter&apos;s bytes are not in the one form that fedmed-desktop writes, so its hash cannot be compared. Save it again with fedmed-desktop.</source>
        <translation>Les octets de l’adaptateur n’ont pas la seule forme qu’écrit fedmed-desktop&#xa0;; son empreinte ne peut donc pas être comparée. Enregistrez-le à nouveau avec fedmed-desktop.</translation>
    </message>
    <message>
        <source>The adapter&apos;s header claims {size} bytes; at most {limit} are allowed. The file is damaged or not a safetensors file; download it again.</source>
        <translation>L’en-tête de l’adaptateur annonce {size} octets&#xa0;; au plus {limit} sont permis. Le fichier est endommagé ou n’est pas un fichier safetensors&#xa0;; téléchargez-le à nouveau.</translation>
    </message>
    <message>
        <source>The adapter&apos;s header is not valid: {reason}. The file is damaged or not a safetensors file; download it again.</source>
        <translation>L’en-tête de l’adaptateur n’est pas valide&#xa0;: {reason}. Le fichier est endommagé ou n’est pas un fichier safetensors&#xa0;; téléchargez-le à nouveau.</translation>
    </message>
    <message>
        <source>The adapter&apos;s metadata were not written by fedmed-desktop: {reason}. Choose an adapter that fedmed-desktop wrote.</source>
        <translation>Les métadonnées de l’adaptateur n’ont pas été écrites par fedmed-desktop&#xa0;: {reason}. Choisissez un adaptateur écrit par fedmed-desktop.</translation>
    </message>
    <message>
        <source>The adapter&apos;s module {name} is {found}, but the base model&apos;s layer is {expected}. Use the base model that the adapter was made for.</source>
        <translation>Le module {name} de l’adaptateur est {found}, mais la couche du modèle de base est {expected}. Utilisez le modèle de base pour lequel l’adaptateur a été fait.</translation>
    </message>
    <message>
        <source>The adapter_config.json cannot be used: {reason}. Export the adapter again with PEFT.</source>
        <translation>Le fichier adapter_config.json n’est pas utilisable&#xa0;: {reason}. Exportez à nouveau l’adaptateur avec PEFT.</translation>
    </message>
    <message>
        <source>The adapters do not adapt the same modules: {name} is in only one of them. Use adapters of the same federation.</source>
        <translation>Les adaptateurs n’adaptent pas les mêmes modules&#xa0;: {name} n’est que dans l’un d’eux. Utilisez des adaptateurs de la même fédération.</translation>
    </message>
    <message>
        <source>The administrator of this computer provides the secret key of the folder {path}, but did not at this start. Start the program as a service again, or name the key&apos;s file in FEDMED_SITE_KEY_FILE (for a coordinator: FEDMED_COORDINATOR_KEY_FILE).</source>
        <translation>La clé secrète du dossier {path} est donnée par l’administrateur de cet ordinateur, mais ne l’a pas été à ce démarrage. Redémarrez le programme comme service, ou nommez le fichier de la clé dans FEDMED_SITE_KEY_FILE (pour un coordinateur&#xa0;: FEDMED_COORDINATOR_KEY_FILE).</translation>
    </message>
    <message>
        <source>The audit file {path} cannot be read: {reason}. Check the path and its permissions.</source>
        <translation>Le fichier d’audit {path} ne peut pas être lu&#xa0;: {reason}. Vérifiez le chemin et ses droits d’accès.</translation>
    </message>
    <message>
        <source>The base model can read only {context} tokens at a time, which is too few for the task and a line of text. Choose another base model.</source>
        <translation>Le modèle de base ne peut lire que {context} tokens à la fois, ce qui est trop peu pour la tâche et une ligne de texte. Choisissez un autre modèle de base.</translation>
    </message>
    <message>
        <source>The base model has no chat template. Choose one that has, or found the federation with --prompt plain.</source>
        <translation>Le modèle de base n’a pas de modèle de conversation (chat template). Choisissez-en un qui en a un, ou fondez la fédération avec --prompt plain.</translation>
    </message>
    <message>
        <source>The base model has no linear layer {name}, which the adapter needs. Use the base model that the adapter was made for.</source>
        <translation>Le modèle de base n’a pas de couche linéaire {name}, dont l’adaptateur a besoin. Utilisez le modèle de base pour lequel l’adaptateur a été fait.</translation>
    </message>
    <message>
        <source>The base model here has another chat template than the federation&apos;s. Copy tokenizer_config.json and chat_template.jinja from the host&apos;s model folder.</source>
        <translation>Le modèle de base a ici un autre modèle de conversation (chat template) que celui de la fédération. Copiez tokenizer_config.json et chat_template.jinja depuis le dossier du modèle de l’organisateur.</translation>
    </message>
    <message>
        <source>The base model uses the adapter&apos;s module {name} in a way in which single notes cannot be told apart, so nobody can say how much one note changes. Nothing has left. Choose another base model, or a federation without differential privacy.</source>
        <translation>Le modèle de base utilise le module {name} de l’adaptateur d’une manière qui ne permet pas de distinguer les notes une à une&#xa0;; personne ne peut donc dire combien une note change. Rien n’est sorti. Choisissez un autre modèle de base, ou une fédération sans confidentialité différentielle.</translation>
    </message>
    <message>
        <source>The base model&apos;s chat template cannot be used: {reason}. Choose another base model, or found the federation with --prompt plain.</source>
        <translation>Le modèle de conversation (chat template) du modèle de base n’est pas utilisable&#xa0;: {reason}. Choisissez un autre modèle de base, ou fondez la fédération avec --prompt plain.</translation>
    </message>
    <message>
        <source>The blob {sha256} does not belong to an approved update and may not leave this computer.</source>
        <translation>Le blob {sha256} n’appartient pas à une mise à jour approuvée et ne peut pas sortir de cet ordinateur.</translation>
    </message>
    <message>
        <source>The certificate in {path} cannot be used with its key: {reason}. Check both files.</source>
        <translation>Le certificat dans {path} n’est pas utilisable avec sa clé&#xa0;: {reason}. Vérifiez les deux fichiers.</translation>
    </message>
    <message>
        <source>The certificate in {path} expired on {date}. Get a new one from whoever issued it and start the coordinator again. Or give it none: it then makes its own.</source>
        <translation>Le certificat dans {path} a expiré le {date}. Demandez-en un nouveau à son émetteur et redémarrez le coordinateur. Ou ne lui en donnez pas&#xa0;: il crée alors le sien.</translation>
    </message>
    <message>
        <source>The certificate in {path} is not valid before {date} UTC. Check this computer&apos;s clock.</source>
        <translation>Le certificat dans {path} n’est pas valable avant le {date} UTC. Vérifiez l’horloge de cet ordinateur.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} has expired; this computer&apos;s clock says {clock} UTC. If the clock is right, ask the host to renew the certificate.</source>
        <translation>Le certificat du coordinateur à l’adresse {address} a expiré&#xa0;; l’horloge de cet ordinateur indique {clock} UTC. Si l’horloge est juste, demandez à l’organisateur de renouveler le certificat.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is for another host name, so nothing was sent. Check the address with the host; if it is right, the host needs a certificate for it.</source>
        <translation>Le certificat du coordinateur à l’adresse {address} est pour un autre nom d’hôte&#xa0;; rien n’a donc été envoyé. Vérifiez l’adresse avec l’organisateur&#xa0;; si elle est juste, il lui faut un certificat pour elle.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is not valid yet; this computer&apos;s clock says {clock} UTC. Set the clock right.</source>
        <translation>Le certificat du coordinateur à l’adresse {address} n’est pas encore valable&#xa0;; l’horloge de cet ordinateur indique {clock} UTC. Réglez l’horloge.</translation>
    </message>
    <message>
        <source>The computer at {address} accepts the connection but sends nothing. A firewall may be holding back WebSocket connections: ask the people who run this network to let them through.</source>
        <translation>L’ordinateur à l’adresse {address} accepte la connexion mais n’envoie rien. Un pare-feu retient peut-être les connexions WebSocket&#xa0;: demandez aux responsables de ce réseau de les laisser passer.</translation>
    </message>
    <message>
        <source>The computer at {host} answers, but no program listens on port {port}. Ask the host whether the coordinator is running, and whether the port is right.</source>
        <translation>L’ordinateur à l’adresse {host} répond, mais aucun programme n’écoute sur le port {port}. Demandez à l’organisateur si le coordinateur tourne, et si le port est juste.</translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as chosen.</source>
        <translation>La connexion passe par le proxy {proxy}, comme choisi.</translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as this computer&apos;s settings say.</source>
        <translation>La connexion passe par le proxy {proxy}, selon les paramètres de cet ordinateur.</translation>
    </message>
    <message>
        <source>The connection is encrypted with {version}.</source>
        <translation>La connexion est chiffrée avec {version}.</translation>
    </message>
    <message>
        <source>The connection to {address} was cut off at once. Either the program there does not encrypt connections: check the address with the host. Or a firewall closes connections that it cannot inspect: ask the people who run this network not to inspect connections to this address.</source>
        <translation>La connexion à {address} a été coupée aussitôt. Ou bien le programme qui s’y trouve ne chiffre pas les connexions&#xa0;: vérifiez l’adresse avec l’organisateur. Ou bien un pare-feu ferme les connexions qu’il ne peut pas inspecter&#xa0;: demandez aux responsables de ce réseau de ne pas inspecter les connexions vers cette adresse.</translation>
    </message>
    <message>
        <source>The connection to {address} was lost before the coordinator answered. Once it is back, check whether it was done; asking again does no harm.</source>
        <translation>La connexion à {address} a été perdue avant la réponse du coordinateur. Regardez si c’est fait, une fois la connexion rétablie&#xa0;; redemander ne nuit pas.</translation>
    </message>
    <message>
        <source>The control variate does not have the adapter&apos;s modules and ranks. Start a new federation with the same rank for all sites.</source>
        <translation>La variable de contrôle n’a pas les modules et les rangs de l’adaptateur. Commencez une nouvelle fédération avec le même rang pour tous les sites.</translation>
    </message>
    <message>
        <source>The coordinator already stores {held} bytes from this site in this round, and accepts at most {limit}. The site takes part again in the next round; if this happens again, tell the host.</source>
        <translation>Le coordinateur garde déjà {held} octets de ce site dans ce tour, et en accepte au plus {limit}. Le site participera à nouveau au prochain tour&#xa0;; si cela se reproduit, prévenez l’organisateur.</translation>
    </message>
    <message>
        <source>The coordinator asked for the steps of secure aggregation in the wrong order. Nothing was revealed.</source>
        <translation>Le coordinateur a demandé les étapes de l’agrégation sécurisée dans le mauvais ordre. Rien n’a été divulgué.</translation>
    </message>
    <message>
        <source>The coordinator asks for a second masked update in round {round}. From two together what masks hide could be worked out. Nothing was sent anew; ask whoever hosts the federation.</source>
        <translation>Le coordinateur demande une deuxième mise à jour masquée au tour {round}. Les deux ensemble pourraient révéler ce que cachent les masques. Rien de nouveau n’a été envoyé. Adressez-vous à la personne qui organise la fédération.</translation>
    </message>
    <message>
        <source>The coordinator asks for a second sum in the same round. This site takes part in another one, and from two together a single update could be worked out. Nothing was revealed.</source>
        <translation>Le coordinateur demande une deuxième somme dans le même tour. Ce site prend part à une autre, et deux sommes ensemble pourraient révéler une mise à jour isolée. Rien n’a été divulgué.</translation>
    </message>
    <message>
        <source>The coordinator at {address} closed the connection.</source>
        <translation>Le coordinateur à l’adresse {address} a fermé la connexion.</translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer to the name {host}. Ask the host to start it with --public-address {address}.</source>
        <translation>Le coordinateur à l’adresse {address} ne répond pas au nom {host}. Demandez à l’organisateur de le démarrer avec --public-address {address}.</translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer. Check that it is running; this site keeps trying.</source>
        <translation>Le coordinateur à l’adresse {address} ne répond pas. Vérifiez qu’il tourne&#xa0;; ce site continue d’essayer.</translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections at the moment. This site keeps trying.</source>
        <translation>Le coordinateur à l’adresse {address} a trop de connexions en ce moment. Ce site continue d’essayer.</translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections right now. Try again in a minute.</source>
        <translation>Le coordinateur à l’adresse {address} a trop de connexions à l’instant. Réessayez dans une minute.</translation>
    </message>
    <message>
        <source>The coordinator at {address}, or something in between, offers only outdated encryption. Ask IT whether a proxy or firewall opens encrypted connections.</source>
        <translation>Le coordinateur à l’adresse {address}, ou un intermédiaire, ne propose qu’un chiffrement dépassé. Demandez au service informatique si un proxy ou un pare-feu ouvre les connexions chiffrées.</translation>
    </message>
    <message>
        <source>The coordinator could not be started: {reason}.</source>
        <translation>Le coordinateur n’a pas pu démarrer&#xa0;: {reason}.</translation>
    </message>
    <message>
        <source>The coordinator could not carry out the command: {reason}. Its log says more.</source>
        <translation>Le coordinateur n’a pas pu exécuter la commande&#xa0;: {reason}. Son journal en dit plus.</translation>
    </message>
    <message>
        <source>The coordinator could not prove that it owns its key (fingerprint {found}). Nothing was sent. Tell the host.</source>
        <translation>Le coordinateur n’a pas pu prouver qu’il possède sa clé (empreinte {found}). Rien n’a été envoyé. Prévenez l’organisateur.</translation>
    </message>
    <message>
        <source>The coordinator does not answer to the name in {address}. Ask its host to start it with --public-address {host}; this site keeps trying.</source>
        <translation>Le coordinateur ne répond pas au nom indiqué dans {address}. Demandez à son organisateur de le démarrer avec --public-address {host}&#xa0;; ce site continue d’essayer.</translation>
    </message>
    <message>
        <source>The coordinator has the fingerprint {fingerprint}. Only an invitation can tell whether it is the right coordinator: ask the host for one.</source>
        <translation>Le coordinateur a l’empreinte {fingerprint}. Seule une invitation peut dire si c’est le bon&#xa0;: demandez-en une à l’organisateur.</translation>
    </message>
    <message>
        <source>The coordinator is at {address}, on this computer.</source>
        <translation>Le coordinateur est à l’adresse {address}, sur cet ordinateur.</translation>
    </message>
    <message>
        <source>The coordinator is at {address}; the connection is encrypted.</source>
        <translation>Le coordinateur est à l’adresse {address}&#xa0;; la connexion est chiffrée.</translation>
    </message>
    <message>
        <source>The coordinator names other keys for this site than the site has made. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Le coordinateur annonce pour ce site d’autres clés que celles que le site a créées. Rien n’a été envoyé dans ce tour. Adressez-vous à la personne qui organise la fédération.</translation>
    </message>
    <message>
        <source>The coordinator names other sites than it did earlier in the same round. Nothing was revealed. Ask whoever hosts the federation.</source>
        <translation>Le coordinateur nomme d’autres sites qu’auparavant dans le même tour. Rien n’a été divulgué. Adressez-vous à la personne qui organise la fédération.</translation>
    </message>
    <message>
        <source>The coordinator on this computer has the fingerprint {fingerprint}.</source>
        <translation>Le coordinateur sur cet ordinateur a l’empreinte {fingerprint}.</translation>
    </message>
    <message>
        <source>The coordinator sends only {speed} Mbit/s to this computer. With an adapter of {size} (rank {rank}), download and upload take about this many minutes per round: {minutes}. Tell the host, who can choose longer deadlines or a smaller rank; or use a faster connection.</source>
        <translation>Le coordinateur n’envoie que {speed} Mbit/s à cet ordinateur. Avec un adaptateur de {size} (rang {rank}), l’aller-retour prend à peu près ce nombre de minutes par tour&#xa0;: {minutes}. Prévenez l’organisateur, qui peut choisir des délais plus longs ou un rang plus petit&#xa0;; ou utilisez une connexion plus rapide.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer.</source>
        <translation>Le coordinateur envoie {speed} Mbit/s ou plus à cet ordinateur.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), download and upload take about this many minutes per round: {minutes}.</source>
        <translation>Le coordinateur envoie {speed} Mbit/s ou plus à cet ordinateur. Avec un adaptateur de {size} (rang {rank}), l’aller-retour prend à peu près ce nombre de minutes par tour&#xa0;: {minutes}.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), download and upload take less than a minute per round.</source>
        <translation>Le coordinateur envoie {speed} Mbit/s ou plus à cet ordinateur. Avec un adaptateur de {size} (rang {rank}), l’aller-retour prend moins d’une minute par tour.</translation>
    </message>
    <message>
        <source>The coordinator with the folder {path} stopped before it had carried out the command. Start it, and try again.</source>
        <translation>Le coordinateur du dossier {path} s’est arrêté avant d’avoir exécuté la commande. Démarrez-le, et réessayez.</translation>
    </message>
    <message>
        <source>The corpus {corpus} is not bundled. Give the folder that contains it with --data.</source>
        <translation>Le corpus {corpus} n’est pas fourni avec le programme. Donnez le dossier qui le contient avec --data.</translation>
    </message>
    <message>
        <source>The desktop needs {package}, which is not installed. In the checkout: python -m pip install &quot;.[desktop]&quot;</source>
        <translation>L’application de bureau exige {package}, qui n’est pas installé. Dans le dépôt&#xa0;: python -m pip install &quot;.[desktop]&quot;</translation>
    </message>
    <message>
        <source>The disk is full, so {path} cannot be written. Free some space; everything that was acknowledged is safe.</source>
        <translation>Le disque est plein&#xa0;; {path} ne peut donc pas être écrit. Libérez de l’espace&#xa0;; tout ce qui a été confirmé est en sécurité.</translation>
    </message>
    <message>
        <source>The encoder in {path} cannot be loaded: {reason}. Choose the folder of a Hugging Face encoder, such as BERT, with safetensors and tokenizer.json.</source>
        <translation>L’encodeur dans {path} ne peut pas être chargé&#xa0;: {reason}. Choisissez le dossier d’un encodeur Hugging Face, un BERT par exemple, avec safetensors et tokenizer.json.</translation>
    </message>
    <message>
        <source>The entry of tensor {tensor} in the header is wrong: {reason}. The file is damaged; download it again.</source>
        <translation>L’entrée du tenseur {tensor} dans l’en-tête est fausse&#xa0;: {reason}. Le fichier est endommagé&#xa0;; téléchargez-le à nouveau.</translation>
    </message>
    <message>
        <source>The experiment has no method or baseline {label}. It has: {known}. Correct --only.</source>
        <translation>L’expérience n’a pas de méthode ni de référence {label}. Elle a&#xa0;: {known}. Corrigez --only.</translation>
    </message>
    <message>
        <source>The experiment has no tuning_seeds. Add some to its file, or leave out --tuning.</source>
        <translation>L’expérience n’a pas de tuning_seeds. Ajoutez-en à son fichier, ou omettez --tuning.</translation>
    </message>
    <message>
        <source>The experiment in {path} has format {found}; this program reads format {known}. Open it with the version of fedmed-desktop that wrote it.</source>
        <translation>L’expérience dans {path} a le format {found}&#xa0;; ce programme lit le format {known}. Ouvrez-la avec la version de fedmed-desktop qui l’a écrite.</translation>
    </message>
    <message>
        <source>The experiment {path} cannot be read: {reason}. Correct the file, which must be TOML.</source>
        <translation>L’expérience {path} ne peut pas être lue&#xa0;: {reason}. Corrigez le fichier, qui doit être en TOML.</translation>
    </message>
    <message>
        <source>The federation has finished already.</source>
        <translation>La fédération est déjà terminée.</translation>
    </message>
    <message>
        <source>The federation has moved on to round {round}, attempt {attempt}. Look at it, then decide again.</source>
        <translation>La fédération a avancé entre-temps&#xa0;: elle en est au tour {round}, tentative {attempt}. Regardez, puis décidez de nouveau.</translation>
    </message>
    <message>
        <source>The federation is not paused.</source>
        <translation>La fédération n’est pas en pause.</translation>
    </message>
    <message>
        <source>The federation is paused already. Resume it first.</source>
        <translation>La fédération est déjà en pause. Reprenez-la d’abord.</translation>
    </message>
    <message>
        <source>The federation protects patients, and some of this site&apos;s training notes do not say which patient they are of. Nothing is trained. Add the patient to each note, or ask the host for training.privacy.unit = &quot;note&quot;.</source>
        <translation>La fédération protège les patients, et certaines notes d’entraînement de ce site ne disent pas de quel patient elles sont. Rien n’est entraîné. Ajoutez le patient à chaque note, ou demandez à l’organisateur training.privacy.unit = &quot;note&quot;.</translation>
    </message>
    <message>
        <source>The federation specification {path} cannot be read: {reason}.</source>
        <translation>La spécification de fédération {path} ne peut pas être lue&#xa0;: {reason}.</translation>
    </message>
    <message>
        <source>The file {path} cannot be used: {reason}.</source>
        <translation>Le fichier {path} n’est pas utilisable&#xa0;: {reason}.</translation>
    </message>
    <message>
        <source>The first adapter {sha256} of this federation is not in {path}. Copy there the .safetensors file that --new-federation wrote beside the specification.</source>
        <translation>Le premier adaptateur {sha256} de cette fédération n’est pas dans {path}. Copiez-y le fichier .safetensors que --new-federation a écrit à côté de la spécification.</translation>
    </message>
    <message>
        <source>The folder {name} already has a {file}. Choose an empty folder for the notes.</source>
        <translation>Le dossier {name} contient déjà un fichier {file}. Choisissez un dossier vide pour les notes.</translation>
    </message>
    <message>
        <source>The folder {path} belongs to a federation with another specification. Choose another --data-dir, or use the specification that it was started with.</source>
        <translation>Le dossier {path} appartient à une fédération qui a une autre spécification. Choisissez un autre --data-dir, ou utilisez la spécification avec laquelle elle a commencé.</translation>
    </message>
    <message>
        <source>The folder {path} belongs to another account, which could take the secret key out of it. Choose another --data-dir, or sign in with that account.</source>
        <translation>Le dossier {path} appartient à un autre compte, qui pourrait y prendre la clé secrète. Choisissez un autre --data-dir, ou ouvrez une session avec ce compte.</translation>
    </message>
    <message>
        <source>The folder {path} cannot be made: a file or a system folder is in its place. Choose another folder.</source>
        <translation>Le dossier {path} ne peut pas être créé&#xa0;: un fichier ou un dossier système est à sa place. Choisissez un autre dossier.</translation>
    </message>
    <message>
        <source>The folder {path} is in use by another fedmed-desktop. Close that one, or choose another --data-dir.</source>
        <translation>Le dossier {path} est utilisé par un autre fedmed-desktop. Fermez-le, ou choisissez un autre --data-dir.</translation>
    </message>
    <message>
        <source>The folder {path} is in use, but no coordinator there accepts commands: it may be an earlier version, or about to stop. Stop it and try again, or look at its log.</source>
        <translation>Le dossier {path} est utilisé, mais aucun coordinateur n’y accepte de commandes&#xa0;: il est peut-être d’une version antérieure, ou sur le point de s’arrêter. Arrêtez-le et réessayez, ou consultez son journal.</translation>
    </message>
    <message>
        <source>The host has shut out {site}, or has let in another key under this name. If that is a mistake, ask the host for a new invitation.</source>
        <translation>L’organisateur a exclu {site}, ou a admis une autre clé sous ce nom. Si c’est une erreur, demandez-lui une nouvelle invitation.</translation>
    </message>
    <message>
        <source>The invitation is for the site {invited}, not for {name}. Leave out --name.</source>
        <translation>L’invitation est pour le site {invited}, pas pour {name}. Omettez --name.</translation>
    </message>
    <message>
        <source>The invitation of {site} expired at {until}. Ask the host for a new one.</source>
        <translation>L’invitation de {site} a expiré à {until}. Demandez-en une nouvelle à l’organisateur.</translation>
    </message>
    <message>
        <source>The invitation of {site} has been used already; each one lets in one site, once. Join with the data folder that used it. If that was not you, tell the host at once, who can revoke {site}.</source>
        <translation>L’invitation de {site} a déjà été utilisée&#xa0;; chacune admet un seul site, une seule fois. Rejoignez la fédération avec le dossier de données qui l’a utilisée. Si ce n’était pas vous, prévenez aussitôt l’organisateur, qui peut révoquer {site}.</translation>
    </message>
    <message>
        <source>The key in {key} does not belong to the certificate in {path}. Give the key that the certificate was requested with.</source>
        <translation>La clé dans {key} n’appartient pas au certificat dans {path}. Donnez la clé avec laquelle le certificat a été demandé.</translation>
    </message>
    <message>
        <source>The key in {key} fits a certificate in {path}, but not the first one. Put the coordinator&apos;s own certificate first in the file, and those of the authorities after it.</source>
        <translation>La clé dans {key} correspond à un certificat dans {path}, mais pas au premier. Mettez le certificat du coordinateur en premier dans le fichier, et ceux des autorités à la suite.</translation>
    </message>
    <message>
        <source>The key in {path} is locked with a password, and a coordinator that starts by itself cannot ask for one. Save the key without a password in a file that only this user can read.</source>
        <translation>La clé dans {path} est verrouillée par un mot de passe, et un coordinateur qui démarre seul ne peut pas en demander un. Enregistrez la clé sans mot de passe dans un fichier que seul cet utilisateur peut lire.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}) no longer has the secret key of this data folder. Restore the keyring from a backup. If that is not possible, remove {path} and ask the host for a new invitation with a new key.</source>
        <translation>Le trousseau de clés ({keyring}) n’a plus la clé secrète de ce dossier de données. Restaurez le trousseau à partir d’une sauvegarde. Si ce n’est pas possible, supprimez {path} et demandez à l’organisateur une nouvelle invitation avec une nouvelle clé.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, cannot be used right now. Check that it works for other programs, then try again.</source>
        <translation>Le trousseau de clés ({keyring}) où se trouve la clé secrète n’est pas utilisable en ce moment. Vérifiez qu’il fonctionne pour d’autres programmes, puis réessayez.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, does not answer. It may be waiting for its password in a window: enter it, then try again.</source>
        <translation>Le trousseau de clés ({keyring}) où se trouve la clé secrète ne répond pas. Il attend peut-être son mot de passe dans une fenêtre&#xa0;: donnez-le, puis réessayez.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, is locked. Unlock it, then try again.</source>
        <translation>Le trousseau de clés ({keyring}) où se trouve la clé secrète est verrouillé. Déverrouillez-le, puis réessayez.</translation>
    </message>
    <message>
        <source>The keys that the coordinator names for {site} are not signed by {site} for this round. Nothing was sent in it. Ask whoever hosts the federation.</source>
        <translation>Les clés que le coordinateur annonce pour {site} ne sont pas signées par {site} pour ce tour. Rien n’y a été envoyé. Adressez-vous à la personne qui organise la fédération.</translation>
    </message>
    <message>
        <source>The model file {path} is damaged: {reason}. Download the model again.</source>
        <translation>Le fichier de modèle {path} est endommagé&#xa0;: {reason}. Téléchargez à nouveau le modèle.</translation>
    </message>
    <message>
        <source>The model folder {path} also contains an adapter ({file}), which would be loaded unnoticed as part of the base model. Move the adapter&apos;s files to a separate folder.</source>
        <translation>Le dossier de modèle {path} contient aussi un adaptateur ({file}), qui serait chargé comme partie du modèle de base sans que personne le remarque. Déplacez les fichiers de l’adaptateur dans un dossier à part.</translation>
    </message>
    <message>
        <source>The model given with --score-with is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Give the model folder that the federation was made with.</source>
        <translation>Le modèle donné avec --score-with n’est pas le modèle de base de la fédération (empreinte {found}, attendue {expected}). Donnez le dossier du modèle avec lequel la fédération a été faite.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: it cannot process text with adapters on its layers ({reason}). Choose another base model.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: avec des adaptateurs sur ses couches, il ne peut pas traiter de texte ({reason}). Choisissez un autre modèle de base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its layers have names like {name}, without the prefix of a whole model, so it was saved without its head. Choose the whole model, saved by transformers&apos; AutoModelForCausalLM.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: ses couches ont des noms comme {name}, sans le préfixe d’un modèle entier&#xa0;; il a donc été enregistré sans sa tête. Choisissez le modèle entier, enregistré par AutoModelForCausalLM de transformers.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its weights are already quantised ({method}). Choose the same model with 16- or 32-bit weights; each site may still load it in 4 bits (--nf4).</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: ses poids sont déjà quantifiés ({method}). Choisissez le même modèle avec des poids de 16 ou 32 bits&#xa0;; chaque site peut tout de même le charger en 4 bits (--nf4).</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: the layers of {kind} models are of the type Conv1D instead of linear layers (torch&apos;s Linear). Choose another base model.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: les couches des modèles {kind} sont du type Conv1D, et non des couches linéaires (Linear de torch). Choisissez un autre modèle de base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models have an encoder and a decoder. Choose a causal language model, which continues a text.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: les modèles {kind} ont un encodeur et un décodeur. Choisissez un modèle de langage causal, qui continue un texte.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models keep what they have read in an internal state of a special kind, which this program cannot continue from when it scores notes. Choose a base model with attention, such as Llama, Qwen, Gemma, Mistral, Phi or Granite.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: les modèles {kind} gardent ce qu’ils ont lu dans un état interne particulier, que ce programme ne peut pas prolonger quand il évalue des notes. Choisissez un modèle de base à attention, tel que Llama, Qwen, Gemma, Mistral, Phi ou Granite.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models read text in both directions, so during training they would see the answer that they should learn. Choose a causal language model, which continues a text.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: les modèles {kind} lisent le texte dans les deux sens et verraient donc, pendant l’entraînement, la réponse qu’ils doivent apprendre. Choisissez un modèle de langage causal, qui continue un texte.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models use the same layers in several places. Choose another base model.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: les modèles {kind} utilisent les mêmes couches à plusieurs endroits. Choisissez un autre modèle de base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is not a linear layer once the model is loaded ({found}). Choose another base model.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: {name} n’est pas une couche linéaire une fois le modèle chargé ({found}). Choisissez un autre modèle de base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is {found} in its files, but its config.json makes it {expected}. Download the model again, or choose another.</source>
        <translation>Le modèle dans {path} ne peut pas être adapté&#xa0;: {name} est {found} dans ses fichiers, mais son config.json en fait {expected}. Téléchargez à nouveau le modèle, ou choisissez-en un autre.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be loaded: {reason}. Choose the folder of a language model that this version supports, in Hugging Face&apos;s format.</source>
        <translation>Le modèle dans {path} ne peut pas être chargé&#xa0;: {reason}. Choisissez le dossier d’un modèle de langage que cette version prend en charge, au format de Hugging Face.</translation>
    </message>
    <message>
        <source>The model in {path} comes with its own code, which is never run. Choose a model that the transformers library supports by itself.</source>
        <translation>Le modèle dans {path} est livré avec son propre code, qui n’est jamais exécuté. Choisissez un modèle que la bibliothèque transformers prend en charge d’elle-même.</translation>
    </message>
    <message>
        <source>The model in {path} has no linear layers inside decoder blocks, so it cannot be adapted. Choose another base model.</source>
        <translation>Le modèle dans {path} n’a pas de couches linéaires dans des blocs de décodeur&#xa0;; il ne peut donc pas être adapté. Choisissez un autre modèle de base.</translation>
    </message>
    <message>
        <source>The model in {path} is incomplete: {file} is missing, which its index names. Download the model again.</source>
        <translation>Le modèle dans {path} est incomplet&#xa0;: {file} manque, alors que son index le nomme. Téléchargez à nouveau le modèle.</translation>
    </message>
    <message>
        <source>The model in {path} is kept in few bits, and no adapter can be merged into that. Save the adapter as a PEFT folder, or choose the whole model.</source>
        <translation>Le modèle dans {path} est conservé sur peu de bits, et aucun adaptateur ne peut y être fusionné. Enregistrez l’adaptateur comme dossier PEFT, ou choisissez le modèle complet.</translation>
    </message>
    <message>
        <source>The model in {path} names its layers in its files otherwise than once it is loaded, so torch is needed to found a federation on it. Install fedmed-desktop[site] on this computer, or found the federation on a computer that has it and copy the folder.</source>
        <translation>Les couches du modèle dans {path} ont d’autres noms dans ses fichiers qu’une fois chargé&#xa0;; torch est donc nécessaire pour fonder une fédération dessus. Installez fedmed-desktop[site] sur cet ordinateur, ou fondez la fédération sur un ordinateur qui l’a et copiez le dossier.</translation>
    </message>
    <message>
        <source>The model {model} is neither a folder nor in this computer&apos;s cache. Check the path; or, if it is the id of a model, download it once with: hf download {model}</source>
        <translation>Le modèle {model} n’est ni un dossier ni dans le cache de cet ordinateur. Vérifiez le chemin&#xa0;; ou, s’il s’agit de l’identifiant d’un modèle, téléchargez-le une fois avec&#xa0;: hf download {model}</translation>
    </message>
    <message>
        <source>The model&apos;s loss {moment} is not a number: training has diverged, here or at another site. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>La perte du modèle {moment} n’est pas un nombre&#xa0;: l’entraînement a divergé, ici ou sur un autre site. Demandez à l’organisateur un taux d’apprentissage plus petit.</translation>
    </message>
    <message>
        <source>The module {name} has shape {left} in one adapter and {right} in another. Use adapters made for the same base model.</source>
        <translation>Le module {name} a la forme {left} dans un adaptateur et {right} dans un autre. Utilisez des adaptateurs faits pour le même modèle de base.</translation>
    </message>
    <message>
        <source>The name {host} is known: {found}.</source>
        <translation>Le nom {host} est connu&#xa0;: {found}.</translation>
    </message>
    <message>
        <source>The name {host} is not known here. Check its spelling and this computer&apos;s network. If the name is known only inside a hospital or a VPN, connect to that first, or ask the host for the numeric address.</source>
        <translation>Le nom {host} n’est pas connu ici. Vérifiez son orthographe et le réseau de cet ordinateur&#xa0;; si le nom n’est connu qu’au sein d’un hôpital ou d’un VPN, connectez-vous-y d’abord, ou demandez à l’organisateur l’adresse en chiffres.</translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split that keeps patients, documents and near-duplicates together is proposed; --split-into FOLDER writes it.</source>
        <translation>Les notes ne sont pas réparties en train, validation et test. Une répartition qui garde ensemble patients, documents et quasi-doublons est proposée&#xa0;; --split-into FOLDER l’écrit.</translation>
    </message>
    <message>
        <source>The notes file {name} cannot be read: {reason}. Choose another file, or repair this one; text files may be compressed with gzip if their name ends in .gz.</source>
        <translation>Le fichier de notes {name} ne peut pas être lu&#xa0;: {reason}. Choisissez un autre fichier, ou réparez celui-ci&#xa0;; les fichiers texte peuvent être compressés avec gzip si leur nom finit par .gz.</translation>
    </message>
    <message>
        <source>The notes file {name} cannot be used: {reason}. Correct or remove it and try again.</source>
        <translation>Le fichier de notes {name} n’est pas utilisable&#xa0;: {reason}. Corrigez-le ou supprimez-le, et réessayez.</translation>
    </message>
    <message>
        <source>The notes file {name} does not exist. Check its name and folder.</source>
        <translation>Le fichier de notes {name} n’existe pas. Vérifiez son nom et son dossier.</translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. Correct this row and try again.</source>
        <translation>Le fichier de notes {name} a une erreur à la ligne {row}&#xa0;: {reason}. Corrigez cette ligne et réessayez.</translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. More rows with an error: {more}. Correct them and try again; this lists them all: fedmed-desktop --check-notes</source>
        <translation>Le fichier de notes {name} a une erreur à la ligne {row}&#xa0;: {reason}. Autres lignes en erreur&#xa0;: {more}. Corrigez-les et réessayez&#xa0;; ceci les liste toutes&#xa0;: fedmed-desktop --check-notes</translation>
    </message>
    <message>
        <source>The notes folder {name} has both {first} and {second}. Remove the one that you do not want to use.</source>
        <translation>Le dossier de notes {name} contient à la fois {first} et {second}. Supprimez celui que vous ne voulez pas utiliser.</translation>
    </message>
    <message>
        <source>The notes folder {name} has no {split}.jsonl or {split}.jsonl.gz, and no {split} in another format. Put the {split} notes there.</source>
        <translation>Le dossier de notes {name} ne contient ni {split}.jsonl ni {split}.jsonl.gz, ni {split} dans un autre format. Mettez-y les notes «&#xa0;{split}&#xa0;».</translation>
    </message>
    <message>
        <source>The notes have labels for none of the tasks of {name}: {tasks}. Annotate them, or check that the labels are where the program looks for them.</source>
        <translation>Les notes ne sont annotées pour aucune des tâches de {name}&#xa0;: {tasks}. Annotez-les, ou vérifiez que les annotations se trouvent là où le programme les cherche.</translation>
    </message>
    <message>
        <source>The notes have no labels for the task {task}. This site takes part without it.</source>
        <translation>Les notes ne sont pas annotées pour la tâche {task}. Ce site participe sans elle.</translation>
    </message>
    <message>
        <source>The notes of {corpus} have labels for none of the experiment&apos;s tasks: {tasks}. Annotate them, or leave the corpus out.</source>
        <translation>Les notes de {corpus} ne sont annotées pour aucune des tâches de l’expérience&#xa0;: {tasks}. Annotez-les, ou omettez le corpus.</translation>
    </message>
    <message>
        <source>The other side sent something that this version does not understand ({place}: {reason}). Use the same version of fedmed-desktop on both sides.</source>
        <translation>L’autre côté a envoyé quelque chose que cette version ne comprend pas ({place}&#xa0;: {reason}). Utilisez la même version de fedmed-desktop des deux côtés.</translation>
    </message>
    <message>
        <source>The privacy budget, epsilon {epsilon}, has no room for another step. Training has stopped.</source>
        <translation>Le budget de confidentialité, epsilon {epsilon}, n’a plus de place pour un pas. L’entraînement s’est arrêté.</translation>
    </message>
    <message>
        <source>The processes of a site must run on one machine: what they exchange comes from its notes, and it is not encrypted. Start torchrun with --nnodes 1.</source>
        <translation>Les processus d’un site doivent tourner sur une seule machine&#xa0;: ce qu’ils se transmettent vient de ses notes, et n’est pas chiffré. Démarrez torchrun avec --nnodes 1.</translation>
    </message>
    <message>
        <source>The program can train on {gpu}, which has {total} of memory.</source>
        <translation>Le programme peut entraîner sur {gpu}, qui a {total} de mémoire.</translation>
    </message>
    <message>
        <source>The program crashed the last time it ran. Nothing was sent because of that, and your site goes on where it was. If it happens again, make a support bundle (Settings) for whoever helps you; it goes nowhere by itself.</source>
        <translation>Le programme a planté à sa dernière exécution. Rien n’a été envoyé à cause de cela, et votre site reprend là où il en était. Si cela se reproduit, créez un fichier d’assistance (Paramètres) pour la personne qui vous aide&#xa0;; il ne va nulle part de lui-même.</translation>
    </message>
    <message>
        <source>The proxy {proxy} answers, but it cannot reach the coordinator at {address} (HTTP {status}). Check the address, and ask the people who run the proxy whether it may connect there.</source>
        <translation>Le proxy {proxy} répond, mais ne parvient pas à joindre le coordinateur à l’adresse {address} (HTTP {status}). Vérifiez l’adresse, et demandez aux responsables du proxy s’il peut s’y connecter.</translation>
    </message>
    <message>
        <source>The proxy {proxy} does not accept the name and the password that it was given. Correct them before you try again: repeated tries may lock the account.</source>
        <translation>Le proxy {proxy} n’accepte pas le nom et le mot de passe qui lui ont été donnés. Corrigez-les avant de réessayer&#xa0;: des essais répétés peuvent bloquer le compte.</translation>
    </message>
    <message>
        <source>The proxy {proxy} does not answer. Check its address, and that this computer is in the network that it belongs to; or choose another proxy, or none.</source>
        <translation>Le proxy {proxy} ne répond pas. Vérifiez son adresse, et que cet ordinateur est bien dans le réseau dont il dépend&#xa0;; ou choisissez un autre proxy, ou aucun.</translation>
    </message>
    <message>
        <source>The proxy {proxy} refuses connections to {address} (HTTP {status}). Ask the people who run it to allow HTTP CONNECT to this address and port.</source>
        <translation>Le proxy {proxy} refuse les connexions à {address} (HTTP {status}). Demandez à ses responsables d’autoriser HTTP CONNECT vers cette adresse et ce port.</translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a name and a password. Give them in the proxy&apos;s address, as http://name:password@…, with --proxy, in HTTPS_PROXY or in Settings.</source>
        <translation>Le proxy {proxy} demande un nom et un mot de passe. Donnez-les dans l’adresse du proxy, sous la forme http://name:password@…, avec --proxy, dans HTTPS_PROXY ou dans Paramètres.</translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a sign-in of a kind that fedmed-desktop does not know ({ways}). Ask the people who run it to let this computer connect to {address} without one, or with a name and a password (Basic).</source>
        <translation>Le proxy {proxy} demande une authentification d’un genre que fedmed-desktop ne connaît pas ({ways}). Demandez à ses responsables de laisser cet ordinateur se connecter à {address} sans authentification, ou avec un nom et un mot de passe (Basic).</translation>
    </message>
    <message>
        <source>The rank {rank} cannot be used. Choose a whole number of at least 1.</source>
        <translation>Le rang {rank} n’est pas utilisable. Choisissez un nombre entier d’au moins 1.</translation>
    </message>
    <message>
        <source>The record of the sums that noise was added to ({path}) has {found} rounds, but {least} were combined: it was lost, or is an old copy. Nothing is combined, because nobody could tell how much of the privacy budget is spent. Put the newest copy back.</source>
        <translation>Le relevé des sommes auxquelles du bruit a été ajouté ({path}) compte {found} tours, mais {least} ont été combinés&#xa0;: il a été perdu, ou c’est une vieille copie. Rien n’est combiné, car personne ne pourrait dire combien du budget de confidentialité est consommé. Remettez la copie la plus récente.</translation>
    </message>
    <message>
        <source>The record of what this site has spent of its privacy budget ({path}) has {found} steps, but its updates took {least}: it was lost, or is an old copy. Nothing is trained, because nobody could tell how much of the budget is spent. Put the newest copy back.</source>
        <translation>Le relevé de ce que ce site a consommé de son budget de confidentialité ({path}) compte {found} pas, mais ses mises à jour en ont pris {least}&#xa0;: il a été perdu, ou c’est une vieille copie. Rien n’est entraîné, car personne ne pourrait dire combien du budget est consommé. Remettez la copie la plus récente.</translation>
    </message>
    <message>
        <source>The results and the table are in {path}, but matplotlib, which draws the plots, is not installed. Install it with pip install &apos;fedmed-desktop[lab]&apos;, then run the lab again with the same --out.</source>
        <translation>Les résultats et le tableau sont dans {path}, mais matplotlib, qui dessine les graphiques, n’est pas installé. Installez-le avec pip install &apos;fedmed-desktop[lab]&apos;, puis relancez le labo avec le même --out.</translation>
    </message>
    <message>
        <source>The round had already closed when the update arrived. The adapter stays at the site.</source>
        <translation>Le tour était déjà clos quand la mise à jour est arrivée. L’adaptateur reste sur le site.</translation>
    </message>
    <message>
        <source>The round has moved on; this update is no longer needed. Nothing was sent.</source>
        <translation>Le tour a avancé&#xa0;; cette mise à jour n’est plus nécessaire. Rien n’a été envoyé.</translation>
    </message>
    <message>
        <source>The round is not combined, because too little of the privacy budget for whole sites is left: {spent} of epsilon {epsilon} is spent, and {rounds} more sums would need so much noise that nothing could be learned. More sums were made than the federation has rounds, so an old copy of this folder was put back. Start another federation from its last adapter.</source>
        <translation>Le tour n’est pas combiné, car il reste trop peu du budget de confidentialité des sites entiers&#xa0;: {spent} sur epsilon {epsilon} est consommé, et {rounds} sommes de plus demanderaient tant de bruit que rien ne pourrait être appris. Plus de sommes ont été faites que la fédération n’a de tours&#xa0;; une vieille copie de ce dossier a donc été remise. Commencez une autre fédération avec son dernier adaptateur.</translation>
    </message>
    <message>
        <source>The scale {scale} of {name} cannot be used. It must be a finite number greater than 0.</source>
        <translation>L’échelle {scale} de {name} n’est pas utilisable. Ce doit être un nombre fini supérieur à 0.</translation>
    </message>
    <message>
        <source>The secret key in {path} is not the one that the folder {folder} was made with. Give the earlier key, or another --data-dir.</source>
        <translation>La clé secrète dans {path} n’est pas celle avec laquelle le dossier {folder} a été créé. Donnez la clé d’origine, ou un autre --data-dir.</translation>
    </message>
    <message>
        <source>The secret key is in a keyring ({keyring}), but none can be used right now. Start the program in a desktop session of the account that joined, then try again.</source>
        <translation>La clé secrète se trouve dans un trousseau de clés ({keyring}), mais aucun n’est utilisable en ce moment. Démarrez le programme dans une session de bureau du compte qui a rejoint la fédération, puis réessayez.</translation>
    </message>
    <message>
        <source>The secret key is in the file {detail}. Only this account can read it, but it is not encrypted: do not copy it, and leave it out of backups that others can read.</source>
        <translation>La clé secrète se trouve dans le fichier {detail}. Seul ce compte peut le lire, mais il n’est pas chiffré&#xa0;: ne le copiez pas, et excluez-le des sauvegardes que d’autres peuvent lire.</translation>
    </message>
    <message>
        <source>The secret key is in this account&apos;s keyring ({detail}).</source>
        <translation>La clé secrète se trouve dans le trousseau de clés de ce compte ({detail}).</translation>
    </message>
    <message>
        <source>The secret key is missing: there is no file {path}. Restore it from a backup. If that is not possible, remove identity.json from the data folder; a site then needs a new invitation with a new key.</source>
        <translation>La clé secrète manque&#xa0;: il n’y a pas de fichier {path}. Restaurez-le à partir d’une sauvegarde. Si ce n’est pas possible, supprimez identity.json du dossier de données&#xa0;; un site a alors besoin d’une nouvelle invitation avec une nouvelle clé.</translation>
    </message>
    <message>
        <source>The secret key is read from {detail}, as set up by the administrator of this computer.</source>
        <translation>La clé secrète est lue dans {detail}, comme l’a configuré l’administrateur de cet ordinateur.</translation>
    </message>
    <message>
        <source>The secret key that was found is not the one of this data folder (fingerprint {fingerprint} in {path}). Restore both from the same backup.</source>
        <translation>La clé secrète trouvée n’est pas celle de ce dossier de données (empreinte {fingerprint} dans {path}). Restaurez les deux à partir de la même sauvegarde.</translation>
    </message>
    <message>
        <source>The settings could not be read. They were moved to {path}, and the program starts with the default settings.</source>
        <translation>Les paramètres n’ont pas pu être lus. Ils ont été déplacés vers {path}, et le programme démarre avec les paramètres par défaut.</translation>
    </message>
    <message>
        <source>The signature of {path} is not valid: the file was changed after it was signed. Ask its owner for another export.</source>
        <translation>La signature de {path} n’est pas valide&#xa0;: le fichier a été modifié après avoir été signé. Demandez un autre export à son propriétaire.</translation>
    </message>
    <message>
        <source>The site in {path} has joined no federation yet. Give the host&apos;s invitation with --invitation, or --join and --name for a coordinator on this computer.</source>
        <translation>Le site dans {path} n’a encore rejoint aucune fédération. Donnez l’invitation de l’organisateur avec --invitation, ou --join et --name pour un coordinateur sur cet ordinateur.</translation>
    </message>
    <message>
        <source>The site no longer has this update, so it cannot be fetched.</source>
        <translation>Le site n’a plus cette mise à jour&#xa0;; elle ne peut donc pas être récupérée.</translation>
    </message>
    <message>
        <source>The site uses protocol version {site}, the coordinator {coordinator}. Use the same version of fedmed-desktop on both sides.</source>
        <translation>Le site utilise la version {site} du protocole, le coordinateur la version {coordinator}. Utilisez la même version de fedmed-desktop des deux côtés.</translation>
    </message>
    <message>
        <source>The site {site} could not prove that it owns its key. Nothing was taken from it.</source>
        <translation>Le site {site} n’a pas pu prouver qu’il possède sa clé. Rien n’en a été repris.</translation>
    </message>
    <message>
        <source>The site {site} has a new key now, so its old key no longer counts. If this site did not join again elsewhere, tell the host.</source>
        <translation>Le site {site} a maintenant une nouvelle clé&#xa0;; l’ancienne ne compte donc plus. Si ce site n’a pas rejoint à nouveau la fédération ailleurs, prévenez l’organisateur.</translation>
    </message>
    <message>
        <source>The sites can spare {found} validation notes, but shared_notes is {wanted}. Lower it, or raise split.validation_share.</source>
        <translation>Les sites peuvent céder {found} notes de validation, mais shared_notes vaut {wanted}. Baissez-le, ou augmentez split.validation_share.</translation>
    </message>
    <message>
        <source>The speed of the connection could not be measured. The first round will show it.</source>
        <translation>La vitesse de la connexion n’a pas pu être mesurée. Le premier tour la montrera.</translation>
    </message>
    <message>
        <source>The starting adapter has rank {rank}, but the federation allows at most {most}. Give the federation rank {rank} or more (--rank).</source>
        <translation>L’adaptateur de départ a le rang {rank}, et la fédération au plus {most}. Donnez à la fédération le rang {rank} ou plus (--rank).</translation>
    </message>
    <message>
        <source>The stored adapter {sha256} is damaged: its bytes have changed. Copy it from a backup, or download it again.</source>
        <translation>L’adaptateur enregistré {sha256} est endommagé&#xa0;: ses octets ont changé. Copiez-le depuis une sauvegarde, ou téléchargez-le à nouveau.</translation>
    </message>
    <message>
        <source>The sum cannot be opened yet: some of the shares that sites have sent for {site} are wrong. It is tried again with those of the sites that have not answered.</source>
        <translation>La somme ne peut pas encore être ouverte&#xa0;: certaines des parts que des sites ont envoyées pour {site} sont fausses. Un nouvel essai se fait avec celles des sites qui n’ont pas répondu.</translation>
    </message>
    <message>
        <source>The table of ICD-10-CM codes that comes with this program is missing or damaged, so no code can be looked up. Install the program again.</source>
        <translation>La table des codes CIM-10-CM fournie avec ce programme manque ou est endommagée&#xa0;; aucun code ne peut donc être recherché. Réinstallez le programme.</translation>
    </message>
    <message>
        <source>The tensor {tensor} contains values that are not finite numbers. Training may have diverged; lower the learning rate and train again.</source>
        <translation>Le tenseur {tensor} contient des valeurs qui ne sont pas des nombres finis. L’entraînement a peut-être divergé&#xa0;; baissez le taux d’apprentissage et entraînez à nouveau.</translation>
    </message>
    <message>
        <source>The tensor {tensor} does not belong in a LoRA adapter. Choose an adapter with only LoRA factors of linear layers.</source>
        <translation>Le tenseur {tensor} n’a pas sa place dans un adaptateur LoRA. Choisissez un adaptateur qui n’a que des facteurs LoRA de couches linéaires.</translation>
    </message>
    <message>
        <source>The tensor {tensor} has shape {shape}, but {expected} is needed. Create the adapter again.</source>
        <translation>Le tenseur {tensor} a la forme {shape}, mais il faut {expected}. Recréez l’adaptateur.</translation>
    </message>
    <message>
        <source>The tensor {tensor} has type {dtype}; {expected} is needed. Save the adapter in that type.</source>
        <translation>Le tenseur {tensor} a le type {dtype}&#xa0;; il faut {expected}. Enregistrez l’adaptateur dans ce type.</translation>
    </message>
    <message>
        <source>The tensor {tensor} is missing, but the other factor of its pair is there. Create the adapter again.</source>
        <translation>Le tenseur {tensor} manque, alors que l’autre facteur de sa paire est là. Recréez l’adaptateur.</translation>
    </message>
    <message>
        <source>The tokenizer in {path} does not belong to the model beside it: it has a token with the number {number} ({token}), but the model knows only {rows} tokens. Download the model again.</source>
        <translation>Le tokenizer dans {path} n’appartient pas au modèle qui l’accompagne&#xa0;: il a un token de numéro {number} ({token}), mais le modèle ne connaît que {rows} tokens. Téléchargez à nouveau le modèle.</translation>
    </message>
    <message>
        <source>The tokenizer in {path} names no end token, so an answer would never end. Choose a base model whose tokenizer has one (eos_token).</source>
        <translation>Le tokenizer dans {path} ne nomme pas de token de fin&#xa0;; une réponse ne finirait donc jamais. Choisissez un modèle de base dont le tokenizer en a un (eos_token).</translation>
    </message>
    <message>
        <source>The transfer made no progress, so another site took its place. It continues later from where it stopped.</source>
        <translation>Le transfert n’avançait plus&#xa0;; un autre site a donc pris sa place. Il reprendra plus tard là où il s’est arrêté.</translation>
    </message>
    <message>
        <source>The transformers library cannot load the model in {path} as a causal language model. Choose one that it can, such as the text model by itself.</source>
        <translation>La bibliothèque transformers ne peut pas charger le modèle dans {path} comme modèle de langage causal. Choisissez-en un qu’elle peut charger ainsi, par exemple le modèle de texte seul.</translation>
    </message>
    <message>
        <source>The types file {name} cannot be used: {reason}. It needs a table [types.map] with rows such as Chemical = &quot;drug&quot;.</source>
        <translation>Le fichier des types {name} n’est pas utilisable&#xa0;: {reason}. Il lui faut une table [types.map] avec des lignes telles que Chemical = &quot;drug&quot;.</translation>
    </message>
    <message>
        <source>The types file {name} does not exist. Check its name and folder.</source>
        <translation>Le fichier des types {name} n’existe pas. Vérifiez son nom et son dossier.</translation>
    </message>
    <message>
        <source>The types map translates {local} to {target}, but the federation&apos;s types are {expected}. Correct the map.</source>
        <translation>La table des types traduit {local} en {target}, mais les types de la fédération sont {expected}. Corrigez la table.</translation>
    </message>
    <message>
        <source>The update adapts {module}, which is not part of this federation.</source>
        <translation>La mise à jour adapte {module}, qui ne fait pas partie de cette fédération.</translation>
    </message>
    <message>
        <source>The update answers another plan than the one this site has in this round.</source>
        <translation>La mise à jour répond à un autre plan que celui de ce site dans ce tour.</translation>
    </message>
    <message>
        <source>The update cannot be unpacked: {reason}. Send it again; if this message comes again, train the round again.</source>
        <translation>La mise à jour ne peut pas être décompressée&#xa0;: {reason}. Renvoyez-la&#xa0;; si ce message revient, refaites l’entraînement du tour.</translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It counts as it is. Ask the site whether its notes or its training have changed.</source>
        <translation>La mise à jour modifie le modèle de {norm}, plus que la borne de {limit}. Elle compte telle quelle. Demandez au site si ses notes ou son entraînement ont changé.</translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It was shortened to the bound. Ask the site whether its notes or its training have changed.</source>
        <translation>La mise à jour modifie le modèle de {norm}, plus que la borne de {limit}. Elle a été raccourcie jusqu’à la borne. Demandez au site si ses notes ou son entraînement ont changé.</translation>
    </message>
    <message>
        <source>The update does not adapt {module}, which is part of this federation.</source>
        <translation>La mise à jour n’adapte pas {module}, qui fait partie de cette fédération.</translation>
    </message>
    <message>
        <source>The update does not have the parts that the plan asked for.</source>
        <translation>La mise à jour n’a pas les parties que le plan demandait.</translation>
    </message>
    <message>
        <source>The update has rank {found} in {module}; the plan asked for {expected}.</source>
        <translation>La mise à jour a le rang {found} dans {module}&#xa0;; le plan demandait {expected}.</translation>
    </message>
    <message>
        <source>The update has scale {found} in {module}; the federation&apos;s scale is {expected}.</source>
        <translation>La mise à jour a l’échelle {found} dans {module}&#xa0;; celle de la fédération est {expected}.</translation>
    </message>
    <message>
        <source>The update has shape {found} in {module}; the base model needs {expected}.</source>
        <translation>La mise à jour a la forme {found} dans {module}&#xa0;; le modèle de base exige {expected}.</translation>
    </message>
    <message>
        <source>The update has values larger than {largest} in {module}, so training has diverged. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>La mise à jour a des valeurs supérieures à {largest} dans {module}&#xa0;; l’entraînement a donc divergé. Demandez à l’organisateur un taux d’apprentissage plus petit.</translation>
    </message>
    <message>
        <source>The update has {size} bytes; an update of the planned rank has at most {limit}.</source>
        <translation>La mise à jour a {size} octets&#xa0;; une mise à jour du rang prévu en a au plus {limit}.</translation>
    </message>
    <message>
        <source>The update is not the {expected} bytes of masked numbers that the plan asked for; it has {size} bytes.</source>
        <translation>La mise à jour n’est pas faite des {expected} octets de nombres masqués que le plan demandait&#xa0;; elle a {size} octets.</translation>
    </message>
    <message>
        <source>The update points away from the others: its cosine with their mean is {cosine}, below {least}. It still counts. Ask the site what its notes are about; unusual notes are no fault.</source>
        <translation>La mise à jour s’écarte des autres&#xa0;: son cosinus avec leur moyenne est {cosine}, au-dessous de {least}. Elle compte tout de même. Demandez au site de quoi parlent ses notes&#xa0;; des notes inhabituelles ne sont pas une faute.</translation>
    </message>
    <message>
        <source>The update that the round waits for is no longer at the site either. Copy the file {sha256} to {path} from a backup.</source>
        <translation>La mise à jour qu’attend le tour n’est plus sur le site non plus. Copiez le fichier {sha256} vers {path} depuis une sauvegarde.</translation>
    </message>
    <message>
        <source>The update was not combined: among {updates}, others are closer to one another (Krum). Its site takes part in the next round as before.</source>
        <translation>La mise à jour n’a pas été combinée&#xa0;: sur {updates}, d’autres sont plus proches entre elles (Krum). Son site participe au prochain tour comme avant.</translation>
    </message>
    <message>
        <source>The update {sha256} stays on this computer: the audit file {path} has no entry that it was about to be released. Keep both files, and show them to whoever supports this program before you continue.</source>
        <translation>La mise à jour {sha256} reste sur cet ordinateur&#xa0;: le fichier d’audit {path} ne dit pas que son envoi allait être autorisé. Conservez les deux fichiers, et montrez-les à la personne qui s’occupe de ce programme avant de continuer.</translation>
    </message>
    <message>
        <source>The update&apos;s model has no finite loss on the coordinator&apos;s notes, so it cannot be given a weight. Training may have diverged; lower the learning rate and train again.</source>
        <translation>Le modèle de la mise à jour n’a pas de perte finie sur les notes du coordinateur&#xa0;; aucun poids ne peut donc lui être donné. L’entraînement a peut-être divergé&#xa0;; baissez le taux d’apprentissage et entraînez à nouveau.</translation>
    </message>
    <message>
        <source>The update&apos;s norm is {found}, but its report says {reported}.</source>
        <translation>La norme de la mise à jour est {found}, mais son rapport indique {reported}.</translation>
    </message>
    <message>
        <source>The update&apos;s report counts notes by specialty or type, which this federation does not share. Use the same program as the coordinator.</source>
        <translation>Le rapport de la mise à jour compte des notes par spécialité ou par type, ce que cette fédération ne partage pas. Utilisez le même programme que le coordinateur.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not contain the loss on the federation&apos;s shared notes, which decides its weight. Give this site the shared notes.</source>
        <translation>Le rapport de la mise à jour ne contient pas la perte sur les notes communes de la fédération, qui décide de son poids. Donnez les notes communes à ce site.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not say how important each of the federation&apos;s matrices is, or says it without being asked. Use the same program as the coordinator.</source>
        <translation>Le rapport de la mise à jour ne dit pas l’importance de chacune des matrices de la fédération, ou la dit sans qu’on la demande. Utilisez le même programme que le coordinateur.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not say how many notes of each specialty (or entities of each type) the site has, which the method needs. Add the specialties to the site&apos;s notes, or leave the federation.</source>
        <translation>Le rapport de la mise à jour ne dit pas combien de notes de chaque spécialité (ou d’entités de chaque type) a le site, ce dont la méthode a besoin. Ajoutez les spécialités aux notes du site, ou quittez la fédération.</translation>
    </message>
    <message>
        <source>The update&apos;s report has scores for tasks, types or measures that are not part of this federation.</source>
        <translation>Le rapport de la mise à jour a des scores pour des tâches, des types ou des mesures qui ne font pas partie de cette fédération.</translation>
    </message>
    <message>
        <source>The updates of round {round} are being combined. Try again once that is done.</source>
        <translation>Les mises à jour du tour {round} sont en cours de combinaison. Réessayez ensuite.</translation>
    </message>
    <message>
        <source>The {device} does not have enough memory for one note. Choose a smaller base model, a 4-bit base model, or a smaller max_tokens.</source>
        <translation>La mémoire ({device}) ne suffit pas pour une seule note. Choisissez un modèle de base plus petit, un modèle de base en 4 bits, ou un max_tokens plus petit.</translation>
    </message>
    <message>
        <source>There are no notes that can be used.</source>
        <translation>Il n’y a aucune note utilisable.</translation>
    </message>
    <message>
        <source>There are no {split} notes that fit the federation&apos;s maximum length. Add notes, or ask for a larger max_tokens.</source>
        <translation>Aucune note «&#xa0;{split}&#xa0;» ne tient dans la longueur maximale de la fédération. Ajoutez des notes, ou demandez un max_tokens plus grand.</translation>
    </message>
    <message>
        <source>There are no {split} notes. Add some; or remove the split from all notes, and a new one is proposed.</source>
        <translation>Il n’y a pas de notes «&#xa0;{split}&#xa0;». Ajoutez-en&#xa0;; ou retirez la répartition de toutes les notes, et une nouvelle sera proposée.</translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few for Krum, which needs two for each site that may be wrong and three more. They were combined by their usual weights.</source>
        <translation>Il n’y a que {updates} mises à jour, trop peu pour Krum, qui en exige deux par site éventuellement défaillant, et trois de plus. Elles ont été combinées selon leurs poids habituels.</translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few to leave out any of their values. They were combined by their usual weights.</source>
        <translation>Il n’y a que {updates} mises à jour, trop peu pour en écarter des valeurs. Elles ont été combinées selon leurs poids habituels.</translation>
    </message>
    <message>
        <source>There are {groups} groups of notes for {sites} sites. Ask for fewer sites or more notes.</source>
        <translation>Il y a {groups} groupes de notes pour {sites} sites. Demandez moins de sites ou plus de notes.</translation>
    </message>
    <message>
        <source>There are {processes} processes but only {cards} GPUs, and each process needs its own. Start torchrun with --nproc-per-node {cards}.</source>
        <translation>Il y a {processes} processus et seulement {cards} GPU, et chacun a besoin du sien. Démarrez torchrun avec --nproc-per-node {cards}.</translation>
    </message>
    <message>
        <source>There is already a federation in {path}. Choose another folder: nothing is overwritten.</source>
        <translation>Il y a déjà une fédération dans {path}. Choisissez un autre dossier&#xa0;: rien n’est écrasé.</translation>
    </message>
    <message>
        <source>There is hardly enough memory for the program alone. The demonstration may work; to train, use a computer with more memory.</source>
        <translation>Il y a à peine assez de mémoire pour le programme seul. La démonstration fonctionnera peut-être&#xa0;; pour entraîner, utilisez un ordinateur avec plus de mémoire.</translation>
    </message>
    <message>
        <source>There is no adapter at {path}. Check the path.</source>
        <translation>Il n’y a pas d’adaptateur à l’emplacement {path}. Vérifiez le chemin.</translation>
    </message>
    <message>
        <source>There is no adapter in {path}: a site has one once its federation has finished. Wait for that, or name an adapter with --adapter.</source>
        <translation>Il n’y a pas d’adaptateur dans {path} : un site en a un dès que sa fédération est terminée. Attendez-la, ou indiquez un adaptateur avec --adapter.</translation>
    </message>
    <message>
        <source>There is no audit file at {path}. Choose the data folder of a site or a coordinator, its audit.sqlite, or an exported .json file.</source>
        <translation>Il n’y a pas de fichier d’audit à l’emplacement {path}. Choisissez le dossier de données d’un site ou d’un coordinateur, son audit.sqlite, ou un fichier .json exporté.</translation>
    </message>
    <message>
        <source>There is no column {column}, which was named for {role}. The table&apos;s columns: {found}.</source>
        <translation>Il n’y a pas de colonne {column}, qui a été désignée pour {role}. Colonnes du tableau&#xa0;: {found}.</translation>
    </message>
    <message>
        <source>There is no connection to the coordinator at {address}. Nothing was done; try again once it is back.</source>
        <translation>Il n’y a pas de connexion au coordinateur à {address}. Rien n’a été fait&#xa0;; réessayez une fois qu’elle est rétablie.</translation>
    </message>
    <message>
        <source>There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set). Without one, take part with fedmed-desktop --site, or see the demonstration with --demo --terminal or --demo --offscreen.</source>
        <translation>Il n’y a pas d’affichage (ni DISPLAY ni WAYLAND_DISPLAY n’est défini). Sans affichage, participez avec fedmed-desktop --site, ou regardez la démonstration avec --demo --terminal ou --demo --offscreen.</translation>
    </message>
    <message>
        <source>There is no experiment at {path}. Give a TOML file; there are some in resources/experiments.</source>
        <translation>Il n’y a pas d’expérience à l’emplacement {path}. Donnez un fichier TOML&#xa0;; il y en a dans resources/experiments.</translation>
    </message>
    <message>
        <source>There is no federation specification at {path}. Check the path; the host writes the file with --new-federation.</source>
        <translation>Il n’y a pas de spécification de fédération à l’emplacement {path}. Vérifiez le chemin&#xa0;; l’organisateur crée le fichier avec --new-federation.</translation>
    </message>
    <message>
        <source>There is no file {path}. Check the path, and that the medium is plugged in.</source>
        <translation>Il n’y a pas de fichier {path}. Vérifiez le chemin, et que le support est branché.</translation>
    </message>
    <message>
        <source>There is no file {path}. Check the path. An invitation&apos;s line begins with fedmed:.</source>
        <translation>Il n’y a pas de fichier {path}. Vérifiez le chemin. La ligne d’une invitation commence par fedmed:.</translation>
    </message>
    <message>
        <source>There is no file {path}. Give the files of the certificate and of its key, or neither: the coordinator then makes its own.</source>
        <translation>Il n’y a pas de fichier {path}. Donnez les fichiers du certificat et de sa clé, ou aucun des deux&#xa0;: le coordinateur crée alors le sien.</translation>
    </message>
    <message>
        <source>There is no method {method}. Choose one of {known}.</source>
        <translation>Il n’y a pas de méthode {method}. Choisissez parmi {known}.</translation>
    </message>
    <message>
        <source>There is no model folder at {path}. Check the path.</source>
        <translation>Il n’y a pas de dossier de modèle à l’emplacement {path}. Vérifiez le chemin.</translation>
    </message>
    <message>
        <source>There is no notes folder at {path}. Choose a folder with one folder for each site.</source>
        <translation>Il n’y a pas de dossier de notes à l’emplacement {path}. Choisissez un dossier contenant un dossier par site.</translation>
    </message>
    <message>
        <source>There is no notes folder {name}. Choose the folder that contains the notes to train and to validate on, such as train.jsonl and validation.jsonl.</source>
        <translation>Il n’y a pas de dossier de notes {name}. Choisissez le dossier qui contient les notes d’entraînement et de validation, telles que train.jsonl et validation.jsonl.</translation>
    </message>
    <message>
        <source>There is no question. Write what you want to know about the note.</source>
        <translation>Il n’y a pas de question. Écrivez ce que vous voulez savoir sur la note.</translation>
    </message>
    <message>
        <source>There is no text to read. Paste or open a note first.</source>
        <translation>Il n’y a pas de texte à lire. Collez ou ouvrez d’abord une note.</translation>
    </message>
    <message>
        <source>There is no update {sha256} in the outbox.</source>
        <translation>Il n’y a pas de mise à jour {sha256} dans la boîte d’envoi.</translation>
    </message>
    <message>
        <source>These are too many answers: {limit} at most. Leave some out.</source>
        <translation>Ces réponses sont trop nombreuses&#xa0;: {limit} au plus. Retirez-en.</translation>
    </message>
    <message>
        <source>These notes have no labels for {tasks}. Choose notes that are annotated for it, or another task.</source>
        <translation>Ces notes ne sont pas annotées pour {tasks}. Choisissez des notes qui le sont, ou une autre tâche.</translation>
    </message>
    <message>
        <source>This PEFT adapter uses {feature}, which a federation cannot combine. Use plain LoRA or rsLoRA on linear layers.</source>
        <translation>Cet adaptateur PEFT utilise {feature}, qu’une fédération ne peut pas combiner. Utilisez LoRA simple ou rsLoRA sur des couches linéaires.</translation>
    </message>
    <message>
        <source>This adapter was made for another model. Choose one that was made for this model.</source>
        <translation>Cet adaptateur a été fait pour un autre modèle. Choisissez-en un fait pour ce modèle.</translation>
    </message>
    <message>
        <source>This base model has no layers that could be split over several GPUs. Load it in 4 bits (--nf4), or choose a smaller one.</source>
        <translation>Ce modèle de base n’a pas de couches qui puissent être réparties sur plusieurs GPU. Chargez-le en 4 bits (--nf4), ou prenez-en un plus petit.</translation>
    </message>
    <message>
        <source>This computer and the coordinator agree about the time.</source>
        <translation>Cet ordinateur et le coordinateur sont d’accord sur l’heure.</translation>
    </message>
    <message>
        <source>This computer does not trust the certificate of the coordinator at {address} ({reason}), so nothing was sent. If your hospital has its own certificate authority, ask IT to install its root certificate here; otherwise ask the host.</source>
        <translation>Cet ordinateur ne fait pas confiance au certificat du coordinateur à l’adresse {address} ({reason})&#xa0;; rien n’a donc été envoyé. Si votre hôpital a sa propre autorité de certification, demandez au service informatique d’installer ici son certificat racine&#xa0;; sinon, demandez à l’organisateur.</translation>
    </message>
    <message>
        <source>This computer has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation>Cet ordinateur a {total} de mémoire, dont {free} de libre&#xa0;; entraîner ce modèle en prend environ {needed}.</translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min ahead of the coordinator&apos;s. One of the two is wrong: set both computers to take the time from a time server.</source>
        <translation>L’horloge de cet ordinateur avance de {minutes} min sur celle du coordinateur. L’une des deux est fausse&#xa0;: que les deux ordinateurs prennent l’heure d’un serveur de temps.</translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min behind the coordinator&apos;s. One of the two is wrong: set both computers to take the time from a time server.</source>
        <translation>L’horloge de cet ordinateur retarde de {minutes} min sur celle du coordinateur. L’une des deux est fausse&#xa0;: que les deux ordinateurs prennent l’heure d’un serveur de temps.</translation>
    </message>
    <message>
        <source>This data folder belongs to the federation {known}, but the coordinator runs {found}. Choose another --data-dir.</source>
        <translation>Ce dossier de données appartient à la fédération {known}, mais le coordinateur fait tourner {found}. Choisissez un autre --data-dir.</translation>
    </message>
    <message>
        <source>This federation does not know this site. Ask the host for an invitation, and join with it.</source>
        <translation>Cette fédération ne connaît pas ce site. Demandez une invitation à l’organisateur, et utilisez-la pour rejoindre la fédération.</translation>
    </message>
    <message>
        <source>This federation&apos;s method needs rank {rank} at each site, but this site&apos;s limit is {cap}. Leave out --rank-cap, or ask the host for a method that allows different ranks, such as flexlora.</source>
        <translation>La méthode de cette fédération exige le rang {rank} sur chaque site, mais la limite de ce site est {cap}. Omettez --rank-cap, ou demandez à l’organisateur une méthode qui permet des rangs différents, telle que flexlora.</translation>
    </message>
    <message>
        <source>This file is a site&apos;s answer. Give it to the coordinator, with --import-update.</source>
        <translation>Ce fichier est la réponse d’un site. Donnez-le au coordinateur, avec --import-update.</translation>
    </message>
    <message>
        <source>This file is for {found}, and this site is {site}. Use the file that the host made for {site}.</source>
        <translation>Ce fichier est pour {found}, et ce site est {site}. Utilisez le fichier que l’organisateur a fait pour {site}.</translation>
    </message>
    <message>
        <source>This file is not a readable round ({place}). Copy it again, or have it made again with the same version of fedmed-desktop.</source>
        <translation>Ce fichier n’est pas un tour lisible ({place}). Copiez-le encore une fois, ou faites-le refaire avec la même version de fedmed-desktop.</translation>
    </message>
    <message>
        <source>This file was changed after it was signed. Nothing was taken from it. Copy it again; if that does not help, tell the host: someone may have changed it on the way.</source>
        <translation>Ce fichier a été modifié après avoir été signé. Rien n’en a été repris. Copiez-le encore une fois&#xa0;; si cela n’aide pas, prévenez l’organisateur&#xa0;: quelqu’un l’a peut-être modifié en chemin.</translation>
    </message>
    <message>
        <source>This file was made for a site, by --export-round. Give the coordinator the file that the site wrote with --bundle-out.</source>
        <translation>Ce fichier a été fait pour un site, par --export-round. Donnez au coordinateur le fichier que le site a écrit avec --bundle-out.</translation>
    </message>
    <message>
        <source>This file was made with another version of fedmed-desktop (protocol {found}, here {known}). Use the same version on both sides.</source>
        <translation>Ce fichier a été fait avec une autre version de fedmed-desktop (protocole {found}, ici {known}). Utilisez la même version des deux côtés.</translation>
    </message>
    <message>
        <source>This file was not signed by the sender that it names. Nothing was taken from it. Tell the host: someone may have changed it on the way.</source>
        <translation>Ce fichier n’est pas signé par l’expéditeur qu’il indique. Rien n’en a été repris. Prévenez l’organisateur&#xa0;: quelqu’un l’a peut-être modifié en chemin.</translation>
    </message>
    <message>
        <source>This invitation is for another role: a site cannot use a host&apos;s invitation, nor a host a site&apos;s. Ask the host for the right one.</source>
        <translation>Le code de cette invitation est pour un autre rôle&#xa0;: celui d’un organisateur ne laisse entrer aucun site, et celui d’un site aucun organisateur. Demandez à l’organisateur la bonne sorte d’invitation.</translation>
    </message>
    <message>
        <source>This invitation is from another coordinator (fingerprint {found}) than the one that this site joined (fingerprint {expected}). Use the data folder that belongs to it, or ask the host which is right.</source>
        <translation>Cette invitation vient d’un autre coordinateur (empreinte {found}) que celui que ce site a rejoint (empreinte {expected}). Utilisez le dossier de données qui lui correspond, ou demandez à l’organisateur lequel est le bon.</translation>
    </message>
    <message>
        <source>This invitation is mistyped or incomplete: its checksum is wrong. Nothing was sent. Copy it again: the whole line, from fedmed: to the end.</source>
        <translation>Cette invitation est mal saisie ou incomplète&#xa0;: sa somme de contrôle est fausse. Rien n’a été envoyé. Copiez-la encore une fois, toute la ligne depuis fedmed: jusqu’à la fin.</translation>
    </message>
    <message>
        <source>This invitation is not valid: a newer one replaced it, the host took it back, or it belongs to another federation. Ask the host for a new one.</source>
        <translation>Cette invitation n’est pas valable&#xa0;: une plus récente l’a remplacée, l’organisateur l’a retirée, ou elle appartient à une autre fédération. Demandez-en une nouvelle à l’organisateur.</translation>
    </message>
    <message>
        <source>This invitation is not valid: it contains something that does not belong in an invitation. Ask the host for a new one.</source>
        <translation>Cette invitation n’est pas valable&#xa0;: elle contient quelque chose qui n’a pas sa place dans une invitation. Demandez-en une nouvelle à l’organisateur.</translation>
    </message>
    <message>
        <source>This invitation was made by a newer version of fedmed-desktop (format {found}; this one reads {known}). Install the version that the host has.</source>
        <translation>Cette invitation a été faite par une version plus récente de fedmed-desktop (format {found}&#xa0;; celle-ci lit {known}). Installez la version de l’organisateur.</translation>
    </message>
    <message>
        <source>This is far longer than an invitation. Paste the line that begins with fedmed: and nothing else.</source>
        <translation>C’est beaucoup plus long qu’une invitation. Collez la ligne qui commence par fedmed: et rien d’autre.</translation>
    </message>
    <message>
        <source>This is not a file or folder on this computer. Choose one with Browse.</source>
        <translation>Ce n’est pas un fichier ni un dossier de cet ordinateur. Choisissez-en un avec «&#xa0;Parcourir&#xa0;».</translation>
    </message>
    <message>
        <source>This is not a proxy&apos;s address. Give one such as http://proxy.example.org:3128 (with a name and a password: http://name:password@proxy.example.org:3128), or &quot;system&quot; or &quot;none&quot;.</source>
        <translation>Ce n’est pas l’adresse d’un proxy. Donnez-en une telle que http://proxy.example.org:3128 (avec un nom et un mot de passe&#xa0;: http://name:password@proxy.example.org:3128), ou &quot;system&quot; ou &quot;none&quot;.</translation>
    </message>
    <message>
        <source>This is not the coordinator that the invitation is from: its fingerprint is {found}, and {expected} is expected. Nothing was sent. Ask the host by phone before you try again.</source>
        <translation>Ce n’est pas le coordinateur dont vient l’invitation&#xa0;: son empreinte est {found}, et {expected} est attendue. Rien n’a été envoyé. Appelez l’organisateur par téléphone avant de réessayer.</translation>
    </message>
    <message>
        <source>This is the invitation of {site} as a host. Open it in the desktop, which shows the federation then; a site needs an invitation of its own.</source>
        <translation>C’est l’invitation de {site} comme organisateur. Ouvrez-la dans l’application de bureau, qui montre alors la fédération&#xa0;; un site a besoin de sa propre invitation.</translation>
    </message>
    <message>
        <source>This is the invitation of {site} as a site, which trains on its notes. A host needs an invitation of its own.</source>
        <translation>C’est l’invitation de {site} comme site, qui entraîne sur ses notes. Un organisateur a besoin de sa propre invitation.</translation>
    </message>
    <message>
        <source>This model does not fit into this computer&apos;s memory: it needs at least {least}, and the computer has {total}. Use a computer with more memory, or ask the host for a smaller model.</source>
        <translation>Ce modèle ne tient pas dans la mémoire de cet ordinateur&#xa0;: il lui en faut au moins {least}, et l’ordinateur en a {total}. Utilisez un ordinateur avec plus de mémoire, ou demandez à l’organisateur un modèle plus petit.</translation>
    </message>
    <message>
        <source>This model does not fit into {gpu}: it needs at least {least}, and the GPU has {total}. Load it in 4 bits (--nf4), use a computer with a larger GPU, or ask the host for a smaller model.</source>
        <translation>Ce modèle ne tient pas dans {gpu}&#xa0;: il lui faut au moins {least}, et le GPU a {total}. Chargez-le en 4 bits (--nf4), utilisez un ordinateur avec un GPU plus grand, ou demandez à l’organisateur un modèle plus petit.</translation>
    </message>
    <message>
        <source>This note has more than {limit} characters. Shorten it, or read it in parts.</source>
        <translation>Cette note a plus de {limit} caractères. Raccourcissez-la, ou lisez-la en plusieurs parties.</translation>
    </message>
    <message>
        <source>This site has a model of its own already, in {path}, because {method} keeps a part of the model at each site. To fit another adapter, name it with --adapter.</source>
        <translation>Ce site a déjà son propre modèle, dans {path}, car avec {method} chaque site garde une partie du modèle. Pour adapter un autre adaptateur, indiquez-le par --adapter.</translation>
    </message>
    <message>
        <source>This site has never joined the coordinator at {address}. Ask its host for an invitation.</source>
        <translation>Ce site n’a jamais rejoint le coordinateur à l’adresse {address}. Demandez une invitation à son organisateur.</translation>
    </message>
    <message>
        <source>This site has no secret key yet. It is made when the site first joins.</source>
        <translation>Ce site n’a pas encore de clé secrète. Elle est créée quand le site rejoint une fédération pour la première fois.</translation>
    </message>
    <message>
        <source>This site was not asked for an update in this round.</source>
        <translation>Aucune mise à jour n’a été demandée à ce site dans ce tour.</translation>
    </message>
    <message>
        <source>This site would weigh {weight}, more than the {largest} that the federation was founded for. Take part with fewer notes, or ask the host to found one with a larger secure_aggregation.largest_weight.</source>
        <translation>Ce site pèserait {weight}, plus que les {largest} pour lesquels la fédération a été fondée. Participez avec moins de notes, ou demandez à l’organisateur d’en fonder une avec un secure_aggregation.largest_weight plus grand.</translation>
    </message>
    <message>
        <source>This site&apos;s base model is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Choose the model folder that the federation was made with.</source>
        <translation>Le modèle de base de ce site n’est pas celui de la fédération (empreinte {found}, attendue {expected}). Choisissez le dossier du modèle avec lequel la fédération a été faite.</translation>
    </message>
    <message>
        <source>This update is {state}, so it cannot be {decision} any more.</source>
        <translation>Cette mise à jour est dans l’état «&#xa0;{state}&#xa0;»&#xa0;; la décision «&#xa0;{decision}&#xa0;» n’est donc plus possible.</translation>
    </message>
    <message>
        <source>This was already asked on this connection, and is done only once.</source>
        <translation>Cela a déjà été demandé sur cette connexion, et ne compte qu’une fois.</translation>
    </message>
    <message>
        <source>Too many messages came at once, so the connection was closed. It is opened again by itself.</source>
        <translation>Trop de messages sont arrivés à la fois&#xa0;; la connexion a donc été fermée. Elle se rétablit d’elle-même.</translation>
    </message>
    <message>
        <source>Too many wrong codes came from this address. Wait a minute, and copy the invitation whole.</source>
        <translation>Trop de codes faux sont venus de cette adresse. Attendez une minute, et copiez l’invitation en entier.</translation>
    </message>
    <message>
        <source>Too much was asked for within a minute. Wait a minute, then go on.</source>
        <translation>Il y a eu plus de demandes en une minute qu’un organisateur ne peut en faire. Attendez une minute, puis continuez.</translation>
    </message>
    <message>
        <source>Training failed at step {step}: the loss is no longer a number at learning rate {rate}. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>L’entraînement a échoué au pas {step}&#xa0;: la perte n’est plus un nombre, au taux d’apprentissage {rate}. Demandez à l’organisateur un taux d’apprentissage plus petit.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed} with a whole batch at once, and {gpu} has {total}. With less at once it needs {least} or more, and takes longer. Load the model in 4 bits (--nf4) to be quicker.</source>
        <translation>Entraîner ce modèle prend environ {needed} pour un lot entier, et {gpu} a {total}. Avec moins à la fois, cela prend {least} ou plus, et plus de temps. Chargez le modèle en 4 bits (--nf4) pour aller plus vite.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, and at the very least {least}; this computer has {total} of memory, so it may not fit. Load the model in 4 bits (--nf4), or use a computer with more memory.</source>
        <translation>Entraîner ce modèle prend environ {needed}, au strict minimum {least}, et cet ordinateur a {total} de mémoire&#xa0;: il pourrait ne pas tenir. Chargez le modèle en 4 bits (--nf4), ou utilisez un ordinateur avec plus de mémoire.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of this computer&apos;s {total} is free. Close other programs before the federation begins.</source>
        <translation>Entraîner ce modèle prend environ {needed}, mais seuls {free} des {total} de cet ordinateur sont libres. Fermez d’autres programmes avant le début de la fédération.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of {gpu}&apos;s {total} is free. Close whatever else is using it before the federation begins.</source>
        <translation>Entraîner ce modèle prend environ {needed}, mais seuls {free} des {total} de {gpu} sont libres. Fermez ce qui l’utilise par ailleurs avant le début de la fédération.</translation>
    </message>
    <message>
        <source>Training was interrupted in round {round}, at step {step} of {steps}, before anything was saved. It begins anew as soon as the coordinator answers; if the round has closed meanwhile, with the next round.</source>
        <translation>L’entraînement a été interrompu au tour {round}, au pas {step} sur {steps}, avant tout enregistrement. Il recommence dès que le coordinateur répond&#xa0;; si le tour est clos entre-temps, au tour suivant.</translation>
    </message>
    <message>
        <source>Training was interrupted in round {round}, at step {step} of {steps}. It goes on from the last saved step as soon as the coordinator answers; if the round has closed meanwhile, with the next round.</source>
        <translation>L’entraînement a été interrompu au tour {round}, au pas {step} sur {steps}. Il reprend au dernier pas enregistré dès que le coordinateur répond&#xa0;; si le tour est clos entre-temps, au tour suivant.</translation>
    </message>
    <message>
        <source>Two adapters are both called {name}. Copy one of them to a folder with another name.</source>
        <translation>Deux adaptateurs s’appellent {name}. Copiez l’un d’eux dans un dossier d’un autre nom.</translation>
    </message>
    <message>
        <source>Two sites are said to have the same key, so one of them does not exist. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Deux sites auraient la même clé&#xa0;; l’un d’eux n’existe donc pas. Rien n’a été envoyé dans ce tour. Adressez-vous à la personne qui organise la fédération.</translation>
    </message>
    <message>
        <source>Types of the federation that the notes do not annotate: {types}. This site is neither trained nor scored on them.</source>
        <translation>Types de la fédération que les notes n’annotent pas&#xa0;: {types}. Ce site n’est ni entraîné ni évalué sur eux.</translation>
    </message>
    <message>
        <source>What answers at {address} does not encrypt, so it is not the coordinator, or something in between changes the connection. Check the address and the port with the host.</source>
        <translation>Ce qui répond à {address} ne chiffre pas&#xa0;; ce n’est donc pas le coordinateur, ou un intermédiaire modifie la connexion. Vérifiez l’adresse et le port avec l’organisateur.</translation>
    </message>
    <message>
        <source>What answers at {address} is not a coordinator (HTTP {status}). Check the address with the host; this site keeps trying.</source>
        <translation>Ce qui répond à {address} n’est pas un coordinateur (HTTP {status}). Vérifiez l’adresse avec l’organisateur&#xa0;; ce site continue d’essayer.</translation>
    </message>
    <message>
        <source>What answers at {address} is not a coordinator, or one that encrypts, as each does that serves a network. Check the port, or ask the host for an invitation; this site keeps trying.</source>
        <translation>Ce qui répond à {address} n’est pas un coordinateur, ou en est un qui chiffre, comme tous ceux qui servent un réseau. Vérifiez le port, ou demandez une invitation à l’organisateur&#xa0;; ce site continue d’essayer.</translation>
    </message>
    <message>
        <source>What answers at {proxy} is not an HTTP proxy. Check the proxy&apos;s address.</source>
        <translation>Ce qui répond à {proxy} n’est pas un proxy HTTP. Vérifiez l’adresse du proxy.</translation>
    </message>
    <message>
        <source>What differential privacy spends cannot be counted, because dp-accounting is missing here ({reason}). Install fedmed-desktop[site] on this computer.</source>
        <translation>Ce que consomme la confidentialité différentielle ne peut pas être compté, car dp-accounting manque ici ({reason}). Installez fedmed-desktop[site] sur cet ordinateur.</translation>
    </message>
    <message>
        <source>What {site} encrypted for this site cannot be opened: it was changed on the way, or the keys are not {site}&apos;s. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Ce que {site} a chiffré pour ce site ne peut pas être ouvert&#xa0;: cela a été modifié en chemin, ou les clés ne sont pas celles de {site}. Rien n’a été envoyé dans ce tour. Adressez-vous à la personne qui organise la fédération.</translation>
    </message>
    <message>
        <source>With --federation, name the adapter with --adapter and the folder to write with --out.</source>
        <translation>Avec --federation, indiquez l’adaptateur par --adapter et le dossier à écrire par --out.</translation>
    </message>
    <message>
        <source>With delta {delta}, one of the {units} notes or patients here could leave entirely unprotected. Nothing is trained. Ask the host for a delta well below 1/{units}.</source>
        <translation>Avec delta {delta}, l’une des {units} notes ou l’un des {units} patients d’ici pourrait sortir sans aucune protection. Rien n’est entraîné. Demandez à l’organisateur un delta nettement inférieur à 1/{units}.</translation>
    </message>
    <message>
        <source>With split.by = &quot;{by}&quot; the notes have {found} different labels, too few for {sites} sites. Ask for fewer sites, or write by = &quot;dirichlet&quot;.</source>
        <translation>Avec split.by = &quot;{by}&quot;, les notes ont {found} étiquettes différentes, trop peu pour {sites} sites. Demandez moins de sites, ou écrivez by = &quot;dirichlet&quot;.</translation>
    </message>
    <message>
        <source>You can look for at most {limit} types at a time. Name fewer types.</source>
        <translation>Vous pouvez chercher au plus {limit} types à la fois. Indiquez moins de types.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) allows at most epsilon {most}, and with this update {found} would be spent. It stays here. Whoever keeps the policy can change that.</source>
        <translation>La politique de votre hôpital ({rule}) permet de consommer au plus epsilon {most}, et avec cette mise à jour {found} est consommé. Elle reste ici. La personne qui gère la politique peut modifier cela.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) allows at most rank {most}, and this has rank {found}. Nothing is trained or leaves. Start the site with --rank-cap {most}, so that it is never asked for more.</source>
        <translation>La politique de votre hôpital ({rule}) autorise au plus le rang {most}, et celui-ci est de {found}. Rien n’est entraîné ni ne sort. Démarrez le site avec --rank-cap {most}, pour qu’on ne lui en demande pas plus.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for at least {least} training notes, and this was trained on {found}. It stays here. Add notes, or ask whoever keeps the policy.</source>
        <translation>La politique de votre hôpital ({rule}) exige au moins {least} notes d’entraînement, et ceci a été entraîné sur {found}. Cela reste ici. Ajoutez des notes, ou voyez avec la personne qui gère la politique.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for differential privacy with epsilon at most {most}, and this federation trains without it. Nothing is trained or leaves. Ask its host for [training.privacy], or whoever keeps the policy to change it.</source>
        <translation>La politique de votre hôpital ({rule}) exige la confidentialité différentielle avec un epsilon de {most} au plus, et cette fédération s’entraîne sans. Rien n’est entraîné ni ne sort. Demandez [training.privacy] à son organisateur, ou voyez avec la personne qui gère la politique.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for no more than this program does.</source>
        <translation>La politique de votre hôpital ({rule}) n’exige rien de plus que ce programme.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for two people: a second one must approve as well.</source>
        <translation>La politique de votre hôpital ({rule}) exige deux personnes&#xa0;: une deuxième doit approuver aussi.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) does not let this leave. It stays here. Whoever keeps the policy can change that rule.</source>
        <translation>La politique de votre hôpital ({rule}) n’autorise pas cette sortie. Cela reste ici. La personne qui gère la politique peut modifier cette règle.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) does not let {scalar} leave, which this update still tells: it was made before the policy said so. It stays here. Whoever keeps the policy can change that.</source>
        <translation>La politique de votre hôpital ({rule}) ne laisse pas sortir {scalar}, que cette mise à jour indique encore&#xa0;: elle a été faite avant que la politique ne le dise. Elle reste ici. La personne qui gère la politique peut modifier cela.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) leaves no hour of the week in which anything may leave: its files do not agree. Ask whoever keeps the policy.</source>
        <translation>La politique de votre hôpital ({rule}) ne laisse aucune heure de la semaine où quelque chose puisse sortir&#xa0;: ses fichiers ne concordent pas. Voyez avec la personne qui gère la politique.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets at most {most} bytes leave, and this update has {found}. It stays here. A smaller rank makes it smaller; or ask whoever keeps the policy.</source>
        <translation>La politique de votre hôpital ({rule}) laisse sortir au plus {most} octets, et cette mise à jour en a {found}. Elle reste ici. Un rang plus petit la réduit&#xa0;; ou voyez avec la personne qui gère la politique.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets nothing leave that is rated worse than {most}, and what this adapter may reveal is rated {found}. It stays here. More notes, fewer steps or a smaller learning rate reveal less.</source>
        <translation>La politique de votre hôpital ({rule}) ne laisse rien sortir de pire que «&#xa0;{most}&#xa0;», et ce que cet adaptateur peut révéler est «&#xa0;{found}&#xa0;». Il reste ici. Davantage de notes, moins de pas ou un taux d’apprentissage plus petit révèlent moins.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets only these people approve: {names}.</source>
        <translation>La politique de votre hôpital ({rule}) n’autorise à approuver que ces personnes&#xa0;: {names}.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) requires a person here, because what this adapter may reveal could not be measured. Look at it in the desktop, or start the site without --approve-rule.</source>
        <translation>La politique de votre hôpital ({rule}) exige ici une personne, car ce que cet adaptateur peut révéler n’a pas pu être mesuré. Examinez-le dans l’application de bureau, ou démarrez le site sans --approve-rule.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) requires a person: a rule that approves by itself does not count here. Decide in the desktop, or start the site without --approve-rule.</source>
        <translation>La politique de votre hôpital ({rule}) exige une personne&#xa0;: une règle qui approuve d’elle-même ne compte pas ici. Décidez dans l’application de bureau, ou démarrez le site sans --approve-rule.</translation>
    </message>
    <message>
        <source>training.mention_weight cannot be used: the base model&apos;s tokenizer does not say which characters a token stands for, so the beginnings of mentions cannot be found. Take out training.mention_weight, or choose a base model with a tokenizer.json.</source>
        <translation>training.mention_weight n’est pas utilisable&#xa0;: le tokenizer du modèle de base ne dit pas quels caractères représente un token&#xa0;; le début des mentions ne peut donc pas être trouvé. Retirez training.mention_weight, ou choisissez un modèle de base avec un fichier tokenizer.json.</translation>
    </message>
    <message>
        <source>{address} is not a coordinator&apos;s address. Give one such as wss://federation.example.org:8765, or ws://127.0.0.1:8765 on this computer.</source>
        <translation>{address} n’est pas l’adresse d’un coordinateur. Indiquez une adresse comme wss://federation.example.org:8765 ou, sur cet ordinateur, ws://127.0.0.1:8765.</translation>
    </message>
    <message>
        <source>{address} is on another computer, and a ws:// connection is not encrypted. Ask the host for an invitation, which has an encrypted address.</source>
        <translation>{address} est sur un autre ordinateur, et une connexion ws:// n’est pas chiffrée. Demandez à l’organisateur une invitation, qui contient une adresse chiffrée.</translation>
    </message>
    <message>
        <source>{corpus} annotates none of the experiment&apos;s types. It has: {found}. Add one of these to types, or leave the corpus out.</source>
        <translation>{corpus} n’annote aucun des types de l’expérience. Il a&#xa0;: {found}. Ajoutez l’un d’eux à types, ou omettez le corpus.</translation>
    </message>
    <message>
        <source>{corpus} has too few notes ({found}) that no site has. Choose another corpus, or ask for fewer.</source>
        <translation>{corpus} a trop peu de notes ({found}) qu’aucun site n’a. Choisissez un autre corpus, ou demandez-en moins.</translation>
    </message>
    <message>
        <source>{free} is free for the folder {path}.</source>
        <translation>{free} sont libres pour le dossier {path}.</translation>
    </message>
    <message>
        <source>{free} is free for the folder {path}; about {needed} may be needed. Free some space before the federation begins.</source>
        <translation>{free} sont libres pour le dossier {path}&#xa0;; il en faudra peut-être environ {needed}. Libérez de l’espace avant le début de la fédération.</translation>
    </message>
    <message>
        <source>{given} names no cohort. Write --cohort NAME=PATH, such as --cohort Northside=notes/northside.</source>
        <translation>{given} ne nomme pas de cohorte. Écrivez --cohort NAME=PATH, par exemple --cohort Northside=notes/northside.</translation>
    </message>
    <message>
        <source>{gpu} has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation>{gpu} a {total} de mémoire, dont {free} de libre&#xa0;; entraîner ce modèle en prend environ {needed}.</translation>
    </message>
    <message>
        <source>{method} does not need the coordinator to measure updates. Leave out --score-with, or set measured_by = &quot;coordinator&quot; if the method has it.</source>
        <translation>{method} n’a pas besoin que le coordinateur mesure les mises à jour. Omettez --score-with, ou mettez measured_by = &quot;coordinator&quot; si la méthode l’a.</translation>
    </message>
    <message>
        <source>{method} needs the coordinator to measure each update, so the coordinator needs a base model and notes. Start it with --score-with MODEL NOTES, or choose another method.</source>
        <translation>{method} exige que le coordinateur mesure chaque mise à jour&#xa0;; il faut donc au coordinateur un modèle de base et des notes. Démarrez-le avec --score-with MODEL NOTES, ou choisissez une autre méthode.</translation>
    </message>
    <message>
        <source>{name} cannot be a site&apos;s name. Use up to 60 letters, digits, spaces and . , &apos; - &amp; ( ), and begin with a letter or digit.</source>
        <translation>{name} ne peut pas être le nom d’un site. Utilisez jusqu’à 60 lettres, chiffres, espaces et . , &apos; - &amp; ( ), et commencez par une lettre ou un chiffre.</translation>
    </message>
    <message>
        <source>{name} cannot be a type. Write plain words separated by commas, such as drug, problem.</source>
        <translation>{name} ne peut pas être un type. Écrivez des mots simples séparés par des virgules, par exemple drug, problem.</translation>
    </message>
    <message>
        <source>{name} cannot be joined: its method {method} needs {scalar} of each update, and your hospital&apos;s policy (scalars) does not let that leave. Ask whoever keeps the policy, or the host for another method.</source>
        <translation>{name} ne peut pas être rejointe&#xa0;: sa méthode {method} exige {scalar} de chaque mise à jour, et la politique de votre hôpital (scalars) n’en autorise pas la sortie. Voyez avec la personne qui gère la politique, ou demandez une autre méthode à l’organisateur.</translation>
    </message>
    <message>
        <source>{name} cannot be read as a picture. Take another one, or paste the line instead.</source>
        <translation>{name} n’est pas lisible comme image. Prenez-en une autre, ou collez plutôt la ligne.</translation>
    </message>
    <message>
        <source>{name} cannot be the name of a module. Use the base model&apos;s own names, such as model.layers.0.self_attn.q_proj.</source>
        <translation>{name} ne peut pas être le nom d’un module. Utilisez les noms du modèle de base, tels que model.layers.0.self_attn.q_proj.</translation>
    </message>
    <message>
        <source>{name} contains no notes that can be used. Check that it is the right file or folder.</source>
        <translation>{name} ne contient aucune note utilisable. Vérifiez que c’est le bon fichier ou dossier.</translation>
    </message>
    <message>
        <source>{name} has approved this already: your hospital&apos;s policy (four_eyes) asks for a second person. Nothing has left.</source>
        <translation>{name} a déjà approuvé ceci&#xa0;: la politique de votre hôpital (four_eyes) exige une deuxième personne. Rien n’est sorti.</translation>
    </message>
    <message>
        <source>{name} is not a text file. Open a note as plain text, or copy its text and paste it.</source>
        <translation>{name} n’est pas un fichier texte. Ouvrez une note en texte brut, ou copiez son texte et collez-le.</translation>
    </message>
    <message>
        <source>{name} is not in UTF-8. Save it as UTF-8 text, or copy its text and paste it.</source>
        <translation>{name} n’est pas en UTF-8. Enregistrez-le comme texte UTF-8, ou copiez son texte et collez-le.</translation>
    </message>
    <message>
        <source>{name} may not approve here: your hospital&apos;s policy (approvers) names {names}. Nothing has left. Ask one of them.</source>
        <translation>{name} ne peut pas approuver ici&#xa0;: la politique de votre hôpital (approvers) nomme {names}. Rien n’est sorti. Demandez à l’une de ces personnes.</translation>
    </message>
    <message>
        <source>{path} already exists. Choose another --out folder; an existing federation is never overwritten.</source>
        <translation>{path} existe déjà. Choisissez un autre dossier --out&#xa0;; une fédération existante n’est jamais écrasée.</translation>
    </message>
    <message>
        <source>{path} and {other} come from the same side. Compare a site&apos;s audit file with its coordinator&apos;s.</source>
        <translation>{path} et {other} sont du même côté. Comparez le fichier d’audit d’un site avec celui de son coordinateur.</translation>
    </message>
    <message>
        <source>{path} cannot be read ({reason}). Use the original corpus, as gzip&apos;d JSON lines.</source>
        <translation>{path} ne peut pas être lu ({reason}). Utilisez le corpus d’origine, en lignes JSON compressées par gzip.</translation>
    </message>
    <message>
        <source>{path} cannot be used: {reason}. Copy it again from where it was made.</source>
        <translation>{path} n’est pas utilisable&#xa0;: {reason}. Copiez-le encore une fois depuis l’endroit où il a été fait.</translation>
    </message>
    <message>
        <source>{path} contains no experiment. Choose a folder that fedmed-desktop --lab has written.</source>
        <translation>{path} ne contient pas d’expérience. Choisissez un dossier écrit par fedmed-desktop --lab.</translation>
    </message>
    <message>
        <source>{path} contains other files. Choose a new folder, or an empty one.</source>
        <translation>{path} contient d’autres fichiers. Choisissez un dossier nouveau ou vide.</translation>
    </message>
    <message>
        <source>{path} could not be saved: {reason}. Choose another folder or name.</source>
        <translation>{path} n’a pas pu être enregistré&#xa0;: {reason}. Choisissez un autre dossier ou un autre nom.</translation>
    </message>
    <message>
        <source>{path} does not exist. Give the folder of the evaluation data with --data.</source>
        <translation>{path} n’existe pas. Donnez le dossier des données d’évaluation avec --data.</translation>
    </message>
    <message>
        <source>{path} does not hold a secret key: 64 hexadecimal digits are needed. Restore it from a backup, or give the right file.</source>
        <translation>{path} ne contient pas de clé secrète&#xa0;: il faut 64 chiffres hexadécimaux. Restaurez-le à partir d’une sauvegarde, ou donnez le bon fichier.</translation>
    </message>
    <message>
        <source>{path} does not match what the other side recorded: entry {held} of {other} holds a hash that is not in it. Entries from {entry} on were changed or removed. Compare it with a backup.</source>
        <translation>{path} ne correspond pas à ce que l’autre côté a enregistré&#xa0;: l’entrée {held} de {other} contient une empreinte qui n’y figure pas. Des entrées à partir de {entry} ont été modifiées ou supprimées. Comparez-le avec une sauvegarde.</translation>
    </message>
    <message>
        <source>{path} ends in neither .csv nor .json. Give the export one of these endings.</source>
        <translation>{path} ne finit ni par .csv ni par .json. Donnez à l’export l’une de ces terminaisons.</translation>
    </message>
    <message>
        <source>{path} has a {file}, but not the experiment that it belongs to. Choose another folder as --out.</source>
        <translation>{path} contient un fichier {file}, mais pas l’expérience à laquelle il appartient. Choisissez un autre dossier comme --out.</translation>
    </message>
    <message>
        <source>{path} has no map for the types of {corpus}. Use the original evaluation data, or write [corpora.types].</source>
        <translation>{path} n’a pas de table pour les types de {corpus}. Utilisez les données d’évaluation d’origine, ou écrivez [corpora.types].</translation>
    </message>
    <message>
        <source>{path} has notes of {found} sites, but {wanted} are needed. Add folders or lower --sites.</source>
        <translation>{path} a des notes de {found} sites, mais il en faut {wanted}. Ajoutez des dossiers ou baissez --sites.</translation>
    </message>
    <message>
        <source>{path} holds results of {label} with other settings. Give the method a label of its own, or choose another --out.</source>
        <translation>{path} contient des résultats de {label} avec d’autres réglages. Donnez à la méthode un libellé à elle, ou choisissez un autre --out.</translation>
    </message>
    <message>
        <source>{path} holds the results of another experiment ({found}), or of an earlier version of this one. Choose another --out.</source>
        <translation>{path} contient les résultats d’une autre expérience ({found}), ou d’une version antérieure de celle-ci. Choisissez un autre --out.</translation>
    </message>
    <message>
        <source>{path} is a packed backup. Unpack it into a folder of its own (tar -xf {path} -C FOLDER), and give that folder.</source>
        <translation>{path} est une sauvegarde compressée. Décompressez-la dans un dossier à part (tar -xf {path} -C FOLDER), et donnez ce dossier.</translation>
    </message>
    <message>
        <source>{path} is damaged in line {line}: {reason}. Remove this line and run the lab again with the same --out, or choose another folder.</source>
        <translation>{path} est endommagé à la ligne {line}&#xa0;: {reason}. Supprimez cette ligne et relancez le labo avec le même --out, ou choisissez un autre dossier.</translation>
    </message>
    <message>
        <source>{path} is damaged. It holds what this site learned for itself in an earlier round, which is never sent. Restore it from a backup; or remove the folder {folder}, and the site continues without it.</source>
        <translation>{path} est endommagé. Il contient ce que ce site a appris pour lui-même dans un tour précédent, ce qui n’est jamais envoyé. Restaurez-le à partir d’une sauvegarde&#xa0;; ou supprimez le dossier {folder}, et le site continuera sans lui.</translation>
    </message>
    <message>
        <source>{path} is damaged: row {row} of its table {table} {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation>{path} est endommagé&#xa0;: la ligne {row} de sa table {table} {reason}. Restaurez le dossier {folder} à partir d’une sauvegarde&#xa0;; si vous n’en avez pas, démarrez dans un autre dossier.</translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Choose another --out; or delete this file and cells.jsonl beside it, and run the lab again.</source>
        <translation>{path} est endommagé&#xa0;: {reason}. Choisissez un autre --out&#xa0;; ou supprimez ce fichier ainsi que cells.jsonl à côté, et relancez le labo.</translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation>{path} est endommagé&#xa0;: {reason}. Restaurez le dossier {folder} à partir d’une sauvegarde&#xa0;; si vous n’en avez pas, démarrez dans un autre dossier.</translation>
    </message>
    <message>
        <source>{path} is missing or empty, but {folder} holds adapters of a federation that has started. Restore {path} from a backup, or choose another --data-dir to start again.</source>
        <translation>{path} manque ou est vide, mais {folder} contient des adaptateurs d’une fédération qui a commencé. Restaurez {path} à partir d’une sauvegarde, ou choisissez un autre --data-dir pour recommencer.</translation>
    </message>
    <message>
        <source>{path} is neither an audit file nor an export of one. Choose a data folder, its audit.sqlite, or a .json file that --verify-audit --export wrote.</source>
        <translation>{path} n’est ni un fichier d’audit ni un export d’un tel fichier. Choisissez un dossier de données, son audit.sqlite, ou un fichier .json écrit par --verify-audit --export.</translation>
    </message>
    <message>
        <source>{path} is not a certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----). Give a file of that form, with the coordinator&apos;s own certificate first.</source>
        <translation>{path} n’est pas un certificat au format PEM (qui commence par -----BEGIN CERTIFICATE-----). Donnez un fichier de ce format, avec le certificat du coordinateur en premier.</translation>
    </message>
    <message>
        <source>{path} is not a model folder: it has no {file}. Choose the folder of the language model that the host agreed on with you (in Hugging Face&apos;s format).</source>
        <translation>{path} n’est pas un dossier de modèle&#xa0;: il n’a pas de {file}. Choisissez le dossier du modèle de langage dont l’organisateur est convenu avec vous (au format de Hugging Face).</translation>
    </message>
    <message>
        <source>{path} is not a private key that can be used. Give the key&apos;s file in PEM form (it begins with -----BEGIN PRIVATE KEY-----).</source>
        <translation>{path} n’est pas une clé privée utilisable. Donnez le fichier de la clé au format PEM (qui commence par -----BEGIN PRIVATE KEY-----).</translation>
    </message>
    <message>
        <source>{path} is not an adapter: {reason}. Choose a PEFT folder, or a .safetensors file that fedmed-desktop wrote.</source>
        <translation>{path} n’est pas un adaptateur&#xa0;: {reason}. Choisissez un dossier PEFT, ou un fichier .safetensors écrit par fedmed-desktop.</translation>
    </message>
    <message>
        <source>{path} is not linked to a federation as its host. Open it with a host&apos;s invitation, which the coordinator&apos;s command line makes with --invite-host.</source>
        <translation>{path} n’est lié à aucune fédération comme organisateur. Ouvrez-le avec une invitation d’organisateur, que la ligne de commande du coordinateur fait avec --invite-host.</translation>
    </message>
    <message>
        <source>{path} is on a file system where a database is not safe (a network drive?). Choose a local disk.</source>
        <translation>{path} est sur un système de fichiers où une base de données n’est pas en sécurité (un lecteur réseau&#xa0;?). Choisissez un disque local.</translation>
    </message>
    <message>
        <source>{path} is on a read-only disk; a disk can become read-only after a fault. Make it writable again; everything that was acknowledged is safe.</source>
        <translation>{path} est sur un disque en lecture seule&#xa0;; un disque peut le devenir après une panne. Rendez-le inscriptible&#xa0;; tout ce qui a été confirmé est en sécurité.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a coordinator. Choose another --data-dir for the site.</source>
        <translation>{path} est le dossier de données d’un coordinateur. Choisissez un autre --data-dir pour le site.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a host. Choose another folder.</source>
        <translation>{path} est le dossier de données d’un organisateur. Choisissez un autre dossier.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a site or of a coordinator. Choose another folder for the host.</source>
        <translation>{path} est le dossier de données d’un site ou d’un coordinateur. Choisissez un autre dossier pour l’organisateur.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a site. Choose another --data-dir for the coordinator.</source>
        <translation>{path} est le dossier de données d’un site. Choisissez un autre --data-dir pour le coordinateur.</translation>
    </message>
    <message>
        <source>{path} is there already and holds files. Choose another name: nothing is written over.</source>
        <translation>{path} existe déjà et contient des fichiers. Choisissez un autre nom&#xa0;: rien n’est écrasé.</translation>
    </message>
    <message>
        <source>{path} is there already and is not an earlier carried round. Move it away, or choose another name.</source>
        <translation>{path} existe déjà et n’est pas un tour transporté auparavant. Déplacez-le, ou choisissez un autre nom.</translation>
    </message>
    <message>
        <source>{path} is there already and is not an earlier invitation of {site} to this federation. Move it away, or choose another folder with --out.</source>
        <translation>{path} existe déjà et n’est pas une invitation antérieure de {site} à cette fédération. Déplacez-le, ou choisissez un autre dossier avec --out.</translation>
    </message>
    <message>
        <source>{path} is there already. Choose another name after {option}; a folder must be new or empty.</source>
        <translation>{path} existe déjà. Choisissez un autre nom après {option}&#xa0;; le dossier doit être nouveau ou vide.</translation>
    </message>
    <message>
        <source>{path} is there already. Choose another name for the backup; a folder must be new or empty.</source>
        <translation>{path} existe déjà. Choisissez un autre nom pour la sauvegarde&#xa0;; le dossier doit être nouveau ou vide.</translation>
    </message>
    <message>
        <source>{path} no longer holds entry {entry} as it was shown, so nothing was marked. Verify the record, and compare it with a backup.</source>
        <translation>{path} ne contient plus l’entrée {entry} telle qu’elle a été affichée&#xa0;; rien n’a donc été marqué. Vérifiez le registre, et comparez-le avec une sauvegarde.</translation>
    </message>
    <message>
        <source>{path} was damaged, so the curves of earlier rounds are gone. It is kept as {aside}; new values are recorded again.</source>
        <translation>{path} était endommagé&#xa0;; les courbes des tours précédents sont donc perdues. Il est conservé sous {aside}&#xa0;; de nouvelles valeurs s’enregistrent.</translation>
    </message>
    <message>
        <source>{path} was signed with the key {found}, but its entries name the key {expected}. Ask its owner for an export that the owner&apos;s own key signed.</source>
        <translation>{path} a été signé avec la clé {found}, mais ses entrées nomment la clé {expected}. Demandez à son propriétaire un export signé par sa propre clé.</translation>
    </message>
    <message>
        <source>{path} was written by a newer version of fedmed-desktop (schema {found}; this one knows {known}). Use that version or a later one.</source>
        <translation>{path} a été écrit par une version plus récente de fedmed-desktop (schéma {found}&#xa0;; celle-ci connaît {known}). Utilisez cette version ou une plus récente.</translation>
    </message>
    <message>
        <source>{path}: a coordinator that adds the noise must see single updates. Write added_by = &quot;sites&quot; under [client_privacy], so that each site adds its share before it masks, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: un coordinateur qui ajoute le bruit doit voir les mises à jour isolées. Écrivez added_by = &quot;sites&quot; sous [client_privacy], pour que chaque site ajoute sa part avant de masquer, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a product is formed of each site&apos;s own two factors, which a sum does not show. Write combine = &quot;factors&quot; with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: un produit est formé des deux facteurs propres à chaque site, qu’une somme ne montre pas. Écrivez combine = &quot;factors&quot; avec fed_medlora, fedavg ou fedrot, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a server_step other than 1 continues from where the round started, but a stack starts afresh in each round. Write combine = &quot;factors&quot; or &quot;product&quot;, or server_step = 1.</source>
        <translation>{path}&#xa0;: un server_step autre que 1 continue à partir du départ du tour, mais un empilement repart de zéro à chaque tour. Écrivez combine = &quot;factors&quot; ou &quot;product&quot;, ou server_step = 1.</translation>
    </message>
    <message>
        <source>{path}: a stack gives each round a fresh adapter, in which no matrix has yet shown what it is worth. Write combine = &quot;product&quot;, or ranks_by = &quot;site&quot;.</source>
        <translation>{path}&#xa0;: un empilement donne à chaque tour un nouvel adaptateur, dans lequel aucune matrice n’a encore montré ce qu’elle vaut. Écrivez combine = &quot;product&quot;, ou ranks_by = &quot;site&quot;.</translation>
    </message>
    <message>
        <source>{path}: a stack holds each site&apos;s own factors side by side, which a sum does not show. Write combine = &quot;factors&quot; with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: un empilement garde côte à côte les facteurs propres à chaque site, qu’une somme ne montre pas. Écrivez combine = &quot;factors&quot; avec fed_medlora, fedavg ou fedrot, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a trimmed mean needs sites that train one factor and have the other in common, else a single value means something different at each. Choose the method ffa or rolora, or write screening.robust = &quot;multi_krum&quot; or screening.action = &quot;clip&quot;.</source>
        <translation>{path}&#xa0;: une moyenne tronquée exige des sites qui entraînent un facteur et ont l’autre en commun, sinon une même valeur signifie autre chose chez chacun. Choisissez la méthode ffa ou rolora, ou écrivez screening.robust = &quot;multi_krum&quot; ou screening.action = &quot;clip&quot;.</translation>
    </message>
    <message>
        <source>{path}: adaptive_fedlora gives each site a rank by what its own update did, which a sum does not show. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: adaptive_fedlora donne à chaque site un rang d’après ce qu’a fait sa propre mise à jour, ce qu’une somme ne montre pas. Choisissez fed_medlora, fedavg ou fedrot, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: entry {entry} {reason}. Keep the file as it is, and compare it with a backup and with the other side&apos;s audit file.</source>
        <translation>{path}&#xa0;: l’entrée {entry} {reason}. Conservez le fichier tel quel, et comparez-le avec une sauvegarde et avec le fichier d’audit de l’autre côté.</translation>
    </message>
    <message>
        <source>{path}: fedavgm and fedadam keep means of how A and B have changed, and a product or a stack replaces A and B with others in each round. Write combine = &quot;factors&quot;.</source>
        <translation>{path}&#xa0;: fedavgm et fedadam gardent des moyennes de la façon dont A et B ont changé, et un produit ou un empilement remplace A et B par d’autres à chaque tour. Écrivez combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: fedex adds what averaging the factors misses, and that is made of the single updates. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: fedex ajoute ce que la moyenne des facteurs laisse échapper, et cela se fait à partir de chaque mise à jour isolée. Choisissez fed_medlora, fedavg ou fedrot, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: fedex averages the factors and adds the part that this misses; a product or a stack misses nothing. Write combine = &quot;factors&quot;, or choose flexlora or flora.</source>
        <translation>{path}&#xa0;: fedex fait la moyenne des facteurs et ajoute la partie que celle-ci laisse échapper&#xa0;; un produit ou un empilement ne laisse rien échapper. Écrivez combine = &quot;factors&quot;, ou choisissez flexlora ou flora.</translation>
    </message>
    <message>
        <source>{path}: fednova continues from where the round started, but a stack starts afresh in each round. Write combine = &quot;factors&quot; or &quot;product&quot;.</source>
        <translation>{path}&#xa0;: fednova continue à partir du départ du tour, mais un empilement repart de zéro à chaque tour. Écrivez combine = &quot;factors&quot; ou &quot;product&quot;.</translation>
    </message>
    <message>
        <source>{path}: fednova weighs an update by the steps of all sites, which are known only when all updates are there; a site masks its own before that. Choose fed_medlora or fedavg with training.epochs, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: fednova pondère une mise à jour par les pas de tous les sites, connus seulement quand toutes les mises à jour sont là&#xa0;; un site masque la sienne avant. Choisissez fed_medlora ou fedavg avec training.epochs, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: fedopal with on = &quot;outputs&quot; ties the notes of a step together, so that one note&apos;s share cannot be limited. Write on = &quot;weights&quot;, or take out [training.privacy].</source>
        <translation>{path}&#xa0;: fedopal avec on = &quot;outputs&quot; lie entre elles les notes d’un pas, de sorte que la part d’une note ne peut pas être limitée. Écrivez on = &quot;weights&quot;, ou retirez [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: fedrot rotates the factors without changing their product, so it only makes a difference when factors are averaged. Write combine = &quot;factors&quot;, or choose fedavg.</source>
        <translation>{path}&#xa0;: fedrot fait tourner les facteurs sans changer leur produit&#xa0;; cela n’a donc d’effet que si l’on fait la moyenne des facteurs. Écrivez combine = &quot;factors&quot;, ou choisissez fedavg.</translation>
    </message>
    <message>
        <source>{path}: fedsa keeps B at the sites, so there is no product to combine or stack. Write combine = &quot;factors&quot;.</source>
        <translation>{path}&#xa0;: fedsa garde B sur les sites&#xa0;; il n’y a donc pas de produit à combiner ni à empiler. Écrivez combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: ffa keeps one A for the whole federation, which makes averaging exact; a product or a stack would replace A. Write combine = &quot;factors&quot;.</source>
        <translation>{path}&#xa0;: ffa garde un seul A pour toute la fédération, ce qui rend la moyenne exacte&#xa0;; un produit ou un empilement remplacerait A. Écrivez combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: flexlora averages products. Write combine = &quot;product&quot;, or choose fedavg.</source>
        <translation>{path}&#xa0;: flexlora fait la moyenne des produits. Écrivez combine = &quot;product&quot;, ou choisissez fedavg.</translation>
    </message>
    <message>
        <source>{path}: flora stacks the updates. Write combine = &quot;stack&quot;, or choose fedavg.</source>
        <translation>{path}&#xa0;: flora empile les mises à jour. Écrivez combine = &quot;stack&quot;, ou choisissez fedavg.</translation>
    </message>
    <message>
        <source>{path}: from the sum of two updates, each of the two sites can work out the other&apos;s. Write round.quorum = 3 or more, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: à partir d’une somme de deux mises à jour, chacun des deux sites peut déduire celle de l’autre. Écrivez round.quorum = 3 ou plus, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: in adaptive_fedlora sites have different ranks and each starts from a matrix cut to its rank in its own basis, so averaging the factors would mix values that do not belong together. Write combine = &quot;product&quot; or &quot;stack&quot;.</source>
        <translation>{path}&#xa0;: dans adaptive_fedlora, les sites ont des rangs différents et chacun part d’une matrice réduite à son rang dans sa propre base&#xa0;; la moyenne des facteurs mélangerait donc des valeurs qui ne vont pas ensemble. Écrivez combine = &quot;product&quot; ou &quot;stack&quot;.</translation>
    </message>
    <message>
        <source>{path}: in fedsa half of each model stays at its site, so the size and the direction of its update cannot be known. Take out [screening], or choose another method.</source>
        <translation>{path}&#xa0;: dans fedsa, la moitié de chaque modèle reste sur son site&#xa0;; la taille et la direction de sa mise à jour ne peuvent donc pas être connues. Retirez [screening], ou choisissez une autre méthode.</translation>
    </message>
    <message>
        <source>{path}: in the lab the coordinator has no notes of its own. Write measured_by = &quot;sites&quot;; the experiment&apos;s shared notes are then used.</source>
        <translation>{path}&#xa0;: dans le labo, le coordinateur n’a pas de notes à lui. Écrivez measured_by = &quot;sites&quot;&#xa0;; les notes communes de l’expérience sont alors utilisées.</translation>
    </message>
    <message>
        <source>{path}: masks fill all bits of each number, so masked updates cannot be rounded. Take out [transfer], or [secure_aggregation].</source>
        <translation>{path}&#xa0;: les masques remplissent tous les bits de chaque nombre&#xa0;; des mises à jour masquées ne peuvent donc pas être arrondies. Retirez [transfer], ou [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: most likely nothing would be learned. With {sites} sites and {values} values, the noise that hides a whole site would be, in each round, about {times} times as large as the sites&apos; mean update can be. Protect single notes or patients instead ([training.privacy]), or use many more sites, a smaller rank, the method ffa, or a larger epsilon. To try it anyway, write accept_noise = true under [client_privacy].</source>
        <translation>{path}&#xa0;: avec {sites} sites et {values} valeurs, le bruit qui cache un site entier serait à chaque tour environ {times} fois plus grand que ne peut l’être leur mise à jour moyenne&#xa0;: très probablement, rien ne serait appris. Protégez plutôt des notes ou des patients ([training.privacy]), ou prenez beaucoup plus de sites, un rang plus petit, la méthode ffa, ou un epsilon plus grand. Pour essayer tout de même, écrivez accept_noise = true sous [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: noise can hide a whole site only in a plain mean of what each site sends once a round. Choose fedavg, fed_medlora, fedprox, fedavgm, fedadam, fedrot, ffa, rolora, fedsa, sa_fedlora or fedopal with combine = &quot;factors&quot;, or take out [client_privacy].</source>
        <translation>{path}&#xa0;: le bruit ne peut cacher un site entier que dans une moyenne simple de ce que chaque site envoie une fois par tour. Choisissez fedavg, fed_medlora, fedprox, fedavgm, fedadam, fedrot, ffa, rolora, fedsa, sa_fedlora ou fedopal avec combine = &quot;factors&quot;, ou retirez [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: rolora freezes one factor in each round, which makes averaging exact; a product or a stack would change both factors. Write combine = &quot;factors&quot;.</source>
        <translation>{path}&#xa0;: rolora gèle un facteur à chaque tour, ce qui rend la moyenne exacte&#xa0;; un produit ou un empilement changerait les deux facteurs. Écrivez combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: rolora trains each factor in every other round while the other one changes, so kept moments would be those of factors that no longer exist. Take out training.keep_moments, or choose ffa.</source>
        <translation>{path}&#xa0;: rolora entraîne chaque facteur un tour sur deux, et entre-temps l’autre change&#xa0;; les moments de l’optimiseur seraient donc ceux de facteurs disparus. Retirez training.keep_moments, ou choisissez ffa.</translation>
    </message>
    <message>
        <source>{path}: scaffold sends a mean of gradients to which no noise was added. Choose another method, or take out [training.privacy].</source>
        <translation>{path}&#xa0;: scaffold envoie une moyenne de gradients à laquelle aucun bruit n’a été ajouté. Choisissez une autre méthode, ou retirez [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: scaffold with form = &quot;sgd&quot; computes gradients from the steps, which only works with SGD. Write form = &quot;gradient&quot;, or training.optimizer = &quot;sgd&quot;.</source>
        <translation>{path}&#xa0;: scaffold avec form = &quot;sgd&quot; calcule les gradients à partir des pas, ce qui ne marche qu’avec SGD. Écrivez form = &quot;gradient&quot;, ou training.optimizer = &quot;sgd&quot;.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates and the coordinator&apos;s must change by exactly the same numbers, so its updates are sent in float32 only. Take out [transfer], or choose another method.</source>
        <translation>{path}&#xa0;: les variables de contrôle de scaffold et celle du coordinateur doivent changer exactement des mêmes nombres&#xa0;; ses mises à jour ne circulent donc qu’en float32. Retirez [transfer], ou choisissez une autre méthode.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates are directions of A and B, which a product or a stack replaces with others. Write combine = &quot;factors&quot;.</source>
        <translation>{path}&#xa0;: les variables de contrôle de scaffold sont des directions de A et de B, qu’un produit ou un empilement remplace par d’autres. Écrivez combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates come with the updates and would no longer fit the sites if an update were shortened or left out. Write screening.action = &quot;tell&quot; and screening.robust = &quot;mean&quot;, or choose another method.</source>
        <translation>{path}&#xa0;: les variables de contrôle de scaffold accompagnent les mises à jour et ne conviendraient plus aux sites si une mise à jour était raccourcie ou écartée. Écrivez screening.action = &quot;tell&quot; et screening.robust = &quot;mean&quot;, ou choisissez une autre méthode.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s sites send a second adapter beside the first, the change of a control variate, for which there is no mask. Choose fedprox or fedavg, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: les sites de scaffold envoient un deuxième adaptateur à côté du premier, la modification d’une variable de contrôle, pour laquelle il n’y a pas de masque. Choisissez fedprox ou fedavg, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: screening compares single updates, and with secure aggregation there are none to compare. Take out [screening], or [secure_aggregation].</source>
        <translation>{path}&#xa0;: le contrôle [screening] compare des mises à jour isolées, et avec l’agrégation sécurisée il n’y en a pas à comparer. Retirez [screening], ou [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: screening judges each update by the others, so one site could affect more of the result than its own part. Take out [screening], or [client_privacy].</source>
        <translation>{path}&#xa0;: le contrôle [screening] juge chaque mise à jour d’après les autres&#xa0;; un seul site pourrait donc peser sur le résultat au-delà de sa propre part. Retirez [screening], ou [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: sites add shares of the noise only where masks hide each share. Write added_by = &quot;coordinator&quot; under [client_privacy], or switch [secure_aggregation] on.</source>
        <translation>{path}&#xa0;: les sites n’ajoutent des parts de bruit que là où des masques cachent chaque part. Écrivez added_by = &quot;coordinator&quot; sous [client_privacy], ou activez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: sites scale their updates by the largest weight that any of them can have. Write secure_aggregation.largest_weight: the most training notes of a site, or with fed_medlora the most supervised tokens, with some margin.</source>
        <translation>{path}&#xa0;: les sites mettent leurs mises à jour à l’échelle du plus grand poids que l’un d’eux puisse avoir. Écrivez secure_aggregation.largest_weight&#xa0;: le plus grand nombre de notes d’entraînement d’un site, ou de tokens supervisés avec fed_medlora, avec de la marge.</translation>
    </message>
    <message>
        <source>{path}: the adapter is protected, but a histogram of the training notes would leave beside it as exact counts. Write histogram = &quot;none&quot; (in a federation under [share]), or take out [training.privacy].</source>
        <translation>{path}&#xa0;: l’adaptateur est protégé, mais un histogramme des notes d’entraînement sortirait à côté, sous forme d’effectifs exacts. Écrivez histogram = &quot;none&quot; (dans une fédération, sous [share]), ou retirez [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: the adapter is protected, but how important each matrix is would leave beside it, from gradients without noise. Write ranks_by = &quot;site&quot;, or take out [training.privacy].</source>
        <translation>{path}&#xa0;: l’adaptateur est protégé, mais l’importance de chaque matrice sortirait à côté, tirée de gradients sans bruit. Écrivez ranks_by = &quot;site&quot;, ou retirez [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: the coordinator would have to read each update to score it. Write method.measured_by = &quot;sites&quot;, or take out [secure_aggregation].</source>
        <translation>{path}&#xa0;: le coordinateur devrait lire chaque mise à jour pour l’évaluer. Écrivez method.measured_by = &quot;sites&quot;, ou retirez [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: the noise hides a whole site in the adapter, but a histogram of its training notes would leave beside it as exact counts. Write histogram = &quot;none&quot; (in a federation under [share]), or take out [client_privacy].</source>
        <translation>{path}&#xa0;: le bruit cache un site entier dans l’adaptateur, mais un histogramme de ses notes d’entraînement sortirait à côté, sous forme d’effectifs exacts. Écrivez histogram = &quot;none&quot; (dans une fédération, sous [share]), ou retirez [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on notes that everyone may read. Set shared_notes to 1 or more.</source>
        <translation>{path}&#xa0;: cette méthode pondère les sites par leurs résultats sur des notes que tout le monde peut lire. Mettez shared_notes à 1 ou plus.</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on shared notes, which hold texts and entities, and none of the tasks is learned from these. Choose another method, or add the task &quot;entities&quot;.</source>
        <translation>{path}&#xa0;: cette méthode pondère les sites par leurs résultats sur des notes communes, qui contiennent des textes et des entités, et aucune des tâches ne s’apprend à partir de celles-ci. Choisissez une autre méthode, ou ajoutez la tâche &quot;entities&quot;.</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by what their notes are about. Write share.histogram = &quot;specialties&quot; (or &quot;types&quot;), or set its semantic weight to 0.</source>
        <translation>{path}&#xa0;: cette méthode pondère les sites par ce dont parlent leurs notes. Écrivez share.histogram = &quot;specialties&quot; (ou &quot;types&quot;), ou mettez son poids sémantique à 0.</translation>
    </message>
    <message>
        <source>{path}: where ranks follow importance, a site&apos;s matrices have ranks of their own, and the common adapter is not cut to these before it is fetched. Take out transfer.cut, or write ranks_by = &quot;site&quot;.</source>
        <translation>{path}&#xa0;: quand les rangs suivent l’importance, chaque matrice d’un site a son propre rang, et l’adaptateur commun n’y est pas réduit avant d’être récupéré. Retirez transfer.cut, ou écrivez ranks_by = &quot;site&quot;.</translation>
    </message>
    <message>
        <source>{path}: where whole sites are hidden every site counts the same, and fed_medlora_plus weighs them by their losses. Choose fed_medlora, or take out [client_privacy].</source>
        <translation>{path}&#xa0;: quand des sites entiers sont cachés, tous les sites comptent de la même façon, alors que fed_medlora_plus les pondère par leurs pertes. Choisissez fed_medlora, ou retirez [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: with combine = &quot;stack&quot; each round starts afresh, so what rounding took from one update cannot be added to the next. Write transfer.feedback = false.</source>
        <translation>{path}&#xa0;: avec combine = &quot;stack&quot;, chaque tour repart de zéro&#xa0;; ce que l’arrondi a retiré d’une mise à jour ne peut donc pas être ajouté à la suivante. Écrivez transfer.feedback = false.</translation>
    </message>
    <message>
        <source>{path}: with fedex, and where updates are stacked, most of what sites download is a frozen part beside the common adapter, and that is always sent in float32. Take out transfer.down, or choose another method.</source>
        <translation>{path}&#xa0;: avec fedex, et quand les mises à jour sont empilées, l’essentiel de ce que récupèrent les sites est une partie gelée à côté de l’adaptateur commun, toujours envoyée en float32. Retirez transfer.down, ou choisissez une autre méthode.</translation>
    </message>
    <message>
        <source>{path}: with fedrot each site turns its factors before they leave, so the optimiser&apos;s moments of one round would not fit the factors of the next. Take out training.keep_moments, or choose fedavg.</source>
        <translation>{path}&#xa0;: avec fedrot, chaque site fait tourner ses facteurs avant leur sortie&#xa0;; les moments de l’optimiseur d’un tour ne conviendraient donc pas aux facteurs du suivant. Retirez training.keep_moments, ou choisissez fedavg.</translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on notes that everyone may read. Add [[shared_notes]], or write measured_by = &quot;coordinator&quot; and start it with --score-with.</source>
        <translation>{path}&#xa0;: avec measured_by = &quot;sites&quot;, chaque site mesure son modèle sur des notes que tout le monde peut lire. Ajoutez [[shared_notes]], ou écrivez measured_by = &quot;coordinator&quot; et démarrez-le avec --score-with.</translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on shared notes, which hold texts and entities, and none of the tasks is learned from these. Write measured_by = &quot;coordinator&quot; and start it with --score-with, choose another method, or add the task &quot;entities&quot;.</source>
        <translation>{path}&#xa0;: avec measured_by = &quot;sites&quot;, chaque site mesure son modèle sur des notes communes, qui contiennent des textes et des entités, et aucune des tâches ne s’apprend à partir de celles-ci. Écrivez measured_by = &quot;coordinator&quot; et démarrez-le avec --score-with, choisissez une autre méthode, ou ajoutez la tâche &quot;entities&quot;.</translation>
    </message>
    <message>
        <source>{path}: with secure aggregation all sites take part in every round, since they mask together. Take out round.clients.</source>
        <translation>{path}&#xa0;: avec l’agrégation sécurisée, tous les sites participent à chaque tour, puisqu’ils masquent ensemble. Retirez round.clients.</translation>
    </message>
    <message>
        <source>{path}: with training.keep_moments the optimiser continues with the moments of the last round, but a product or a stack gives each round factors of another basis. Write combine = &quot;factors&quot;, or take out training.keep_moments.</source>
        <translation>{path}&#xa0;: avec training.keep_moments, l’optimiseur reprend à partir des moments du tour précédent, mais un produit ou un empilement donne à chaque tour des facteurs d’une autre base. Écrivez combine = &quot;factors&quot;, ou retirez training.keep_moments.</translation>
    </message>
    <message>
        <source>{path}: {key}: {reason}. Correct this key and start again.</source>
        <translation>{path}&#xa0;: {key}&#xa0;: {reason}. Corrigez cette clé et redémarrez.</translation>
    </message>
    <message>
        <source>{path}: {method} gives all sites the same rank, and rank {rank} is over the smallest cap, {cap}. Write rank = &quot;smallest_cap&quot; for this method, or raise hardware.caps.</source>
        <translation>{path}&#xa0;: {method} donne le même rang à tous les sites, et le rang {rank} dépasse la plus petite limite, {cap}. Écrivez rank = &quot;smallest_cap&quot; pour cette méthode, ou augmentez hardware.caps.</translation>
    </message>
    <message>
        <source>{share} % of the update&apos;s values were left out, as the largest or the smallest at their position; with honest sites it is about the same for all.</source>
        <translation>{share}&#xa0;% des valeurs de la mise à jour ont été écartées, comme les plus grandes ou les plus petites à leur position&#xa0;; avec des sites honnêtes, c’est à peu près pareil pour tous.</translation>
    </message>
    <message>
        <source>{site} could be any of these: {names}. Give the exact name, or more of the fingerprint.</source>
        <translation>{site} peut désigner chacun de ceux-ci&#xa0;: {names}. Donnez le nom exact, ou davantage de l’empreinte.</translation>
    </message>
    <message>
        <source>{site} has been in this federation in another role. Choose another name.</source>
        <translation>{site} a déjà eu un autre rôle dans cette fédération. Choisissez un autre nom.</translation>
    </message>
    <message>
        <source>{site} has been revoked. To let it in again, use --invite with this name.</source>
        <translation>{site} a été révoqué. Pour l’admettre à nouveau, utilisez --invite avec ce nom.</translation>
    </message>
    <message>
        <source>{site} has joined already. If it needs a new key (another computer, a lost data folder), use --rotate; to shut it out, --revoke.</source>
        <translation>{site} a déjà rejoint la fédération. S’il lui faut une nouvelle clé (un autre ordinateur, un dossier de données perdu), utilisez --rotate&#xa0;; pour l’exclure, --revoke.</translation>
    </message>
    <message>
        <source>{site} has no {split} notes left ({sites} sites, seed {seed}). Ask for fewer sites or more notes, raise split.validation_share, lower split.ratio, or split by something else.</source>
        <translation>{site} n’a plus de notes «&#xa0;{split}&#xa0;» ({sites} sites, graine {seed}). Demandez moins de sites ou plus de notes, augmentez split.validation_share, baissez split.ratio, ou répartissez selon autre chose.</translation>
    </message>
    <message>
        <source>{site} has not used its invitation yet. Do this once it has joined; --sites shows when.</source>
        <translation>{site} n’a pas encore utilisé son invitation. Faites cela une fois le site inscrit&#xa0;; --sites le montre.</translation>
    </message>
    <message>
        <source>{site} is a host of this federation, not a site. To take part as a site, join with another data folder and a site&apos;s invitation.</source>
        <translation>{site} est organisateur de cette fédération, et un organisateur n’est pas un site. Rejoignez-la avec un autre dossier de données et une invitation de site.</translation>
    </message>
    <message>
        <source>{site} is a host. Hosts are invited and removed at the coordinator, with --invite-host and --revoke.</source>
        <translation>{site} est un organisateur. Les organisateurs sont invités et retirés chez le coordinateur, avec --invite-host et --revoke.</translation>
    </message>
    <message>
        <source>{site} is connected right now, so its file is not used. Let it send its update over the connection.</source>
        <translation>{site} est connecté en ce moment&#xa0;; son fichier n’est donc pas utilisé. Laissez-le envoyer sa mise à jour par la connexion.</translation>
    </message>
    <message>
        <source>{site} is not a host of this federation. Ask for a host&apos;s invitation at the coordinator.</source>
        <translation>{site} n’est pas organisateur de cette fédération. Demandez une invitation d’organisateur chez le coordinateur.</translation>
    </message>
    <message>
        <source>{site} looks like {other}, which is a name in this federation already. Choose another name.</source>
        <translation>{site} ressemble à {other}, un nom qui existe déjà dans cette fédération. Choisissez un autre nom.</translation>
    </message>
    <message>
        <source>{site} now has a different key from the one whose words you compared. Compare the six words again.</source>
        <translation>{site} est venu avec une autre clé que celle dont vous avez comparé les mots. Comparez les six mots encore une fois.</translation>
    </message>
    <message>
        <source>{site} was not among the sites that began together, or has another key now. With secure aggregation the sites stay the same throughout. Nothing was sent in this round; ask whoever hosts the federation.</source>
        <translation>{site} ne faisait pas partie des sites qui ont commencé ensemble, ou a maintenant une autre clé. Avec l’agrégation sécurisée, les sites restent les mêmes du début à la fin. Rien n’a été envoyé dans ce tour&#xa0;; adressez-vous à la personne qui organise la fédération.</translation>
    </message>
    <message>
        <source>{total}, of which {free} is free.</source>
        <translation>{total}, dont {free} de libre.</translation>
    </message>
</context>
</TS>
