<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="es">
<context>
    <name></name>
    <message>
        <source> and </source>
        <translation> y </translation>
    </message>
    <message>
        <source> or </source>
        <translation> o </translation>
    </message>
    <message numerus="yes">
        <source>%n are not asked</source>
        <translation>
            <numerusform>%n no convocado</numerusform>
            <numerusform>%n no convocados</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are offline</source>
        <translation>
            <numerusform>%n sin conexión</numerusform>
            <numerusform>%n sin conexión</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are sending</source>
        <translation>
            <numerusform>%n está enviando</numerusform>
            <numerusform>%n están enviando</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n are training</source>
        <translation>
            <numerusform>%n está entrenando</numerusform>
            <numerusform>%n están entrenando</numerusform>
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
            <numerusform>Se elegiría %n código, en negrita.</numerusform>
            <numerusform>Se elegirían %n códigos, en negrita.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n core(s)</source>
        <translation>
            <numerusform>%n núcleo</numerusform>
            <numerusform>%n núcleos</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found before you stopped it.</source>
        <translation>
            <numerusform>%n entidad encontrada antes de que usted lo detuviera.</numerusform>
            <numerusform>%n entidades encontradas antes de que usted lo detuviera.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found so far.</source>
        <translation>
            <numerusform>%n entidad encontrada hasta ahora.</numerusform>
            <numerusform>%n entidades encontradas hasta ahora.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities found.</source>
        <translation>
            <numerusform>%n entidad encontrada.</numerusform>
            <numerusform>%n entidades encontradas.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entities: {list}</source>
        <translation>
            <numerusform>%n entidad: {list}</numerusform>
            <numerusform>%n entidades: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s)</source>
        <translation>
            <numerusform>%n entrada</numerusform>
            <numerusform>%n entradas</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s) since then.</source>
        <translation>
            <numerusform>%n entrada desde entonces.</numerusform>
            <numerusform>%n entradas desde entonces.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n entry(s); the last one&apos;s hash is {head}.</source>
        <translation>
            <numerusform>%n entrada; el hash de la última es {head}.</numerusform>
            <numerusform>%n entradas; el hash de la última es {head}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n example note(s)</source>
        <translation>
            <numerusform>%n nota de ejemplo</numerusform>
            <numerusform>%n notas de ejemplo</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have paused</source>
        <translation>
            <numerusform>%n está en pausa</numerusform>
            <numerusform>%n están en pausa</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n have sent</source>
        <translation>
            <numerusform>%n ha enviado</numerusform>
            <numerusform>%n han enviado</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n keep their adapters</source>
        <translation>
            <numerusform>%n conserva su adaptador</numerusform>
            <numerusform>%n conservan sus adaptadores</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n kind(s)</source>
        <translation>
            <numerusform>%n clase</numerusform>
            <numerusform>%n clases</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n matrices</source>
        <translation>
            <numerusform>%n matriz</numerusform>
            <numerusform>%n matrices</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n method(s)</source>
        <translation>
            <numerusform>%n método</numerusform>
            <numerusform>%n métodos</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s) linked.</source>
        <translation>
            <numerusform>%n modificador vinculado.</numerusform>
            <numerusform>%n modificadores vinculados.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n modifier(s): {list}</source>
        <translation>
            <numerusform>%n modificador: {list}</numerusform>
            <numerusform>%n modificadores: {list}</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n module(s)</source>
        <translation>
            <numerusform>%n módulo</numerusform>
            <numerusform>%n módulos</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s)</source>
        <translation>
            <numerusform>%n nota</numerusform>
            <numerusform>%n notas</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read in parts that overlap, {windows} in all; nothing is left out.</source>
        <translation>
            <numerusform>%n nota se lee en partes que se solapan, {windows} en total; no se omite nada.</numerusform>
            <numerusform>%n notas se leen en partes que se solapan, {windows} en total; no se omite nada.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) are read whole.</source>
        <translation>
            <numerusform>%n nota se lee entera.</numerusform>
            <numerusform>%n notas se leen enteras.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) stay too long for {most} tokens in some part.</source>
        <translation>
            <numerusform>%n nota sigue siendo demasiado larga para {most} tokens en alguna parte.</numerusform>
            <numerusform>%n notas siguen siendo demasiado largas para {most} tokens en alguna parte.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) that all sites may read.</source>
        <translation>
            <numerusform>%n nota que todos los centros pueden leer.</numerusform>
            <numerusform>%n notas que todos los centros pueden leer.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s) to train on, {validation:,} to score rounds with, {test}.</source>
        <translation>
            <numerusform>%n nota para entrenar, {validation:,} para puntuar las rondas, {test}.</numerusform>
            <numerusform>%n notas para entrenar, {validation:,} para puntuar las rondas, {test}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s), {format}.</source>
        <translation>
            <numerusform>%n nota, {format}.</numerusform>
            <numerusform>%n notas, {format}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n note(s).</source>
        <translation>
            <numerusform>%n nota.</numerusform>
            <numerusform>%n notas.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your counts are below {few}: a rare kind of note can point to single patients.</source>
        <translation>
            <numerusform>%n de sus recuentos es inferior a {few}: un tipo de nota poco frecuente puede señalar a pacientes concretos.</numerusform>
            <numerusform>%n de sus recuentos son inferiores a {few}: un tipo de nota poco frecuente puede señalar a pacientes concretos.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, kept aside</source>
        <translation>
            <numerusform>%n de sus notas, reservada</numerusform>
            <numerusform>%n de sus notas, reservadas</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of your notes, never used for training</source>
        <translation>
            <numerusform>%n de sus notas que ningún entrenamiento ha visto</numerusform>
            <numerusform>%n de sus notas que ningún entrenamiento ha visto</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n of {all} entries match(es).</source>
        <translation>
            <numerusform>%n de {all} entradas coincide.</numerusform>
            <numerusform>%n de {all} entradas coinciden.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n other(s)</source>
        <translation>
            <numerusform>%n más</numerusform>
            <numerusform>%n más</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n page(s) found</source>
        <translation>
            <numerusform>%n página encontrada</numerusform>
            <numerusform>%n páginas encontradas</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n row(s) cannot be used.</source>
        <translation>
            <numerusform>%n fila no se puede usar.</numerusform>
            <numerusform>%n filas no se pueden usar.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n seed(s)</source>
        <translation>
            <numerusform>%n semilla</numerusform>
            <numerusform>%n semillas</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n sent nothing</source>
        <translation>
            <numerusform>%n no envió nada</numerusform>
            <numerusform>%n no enviaron nada</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected</source>
        <translation>
            <numerusform>%n centro conectado</numerusform>
            <numerusform>%n centros conectados</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) connected.</source>
        <translation>
            <numerusform>%n centro conectado.</numerusform>
            <numerusform>%n centros conectados.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) have made no progress for {time}.</source>
        <translation>
            <numerusform>%n centro no ha avanzado desde hace {time}.</numerusform>
            <numerusform>%n centros no han avanzado desde hace {time}.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) take part</source>
        <translation>
            <numerusform>%n centro participa</numerusform>
            <numerusform>%n centros participan</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) that have not sent are not waited for; their work in this round is not used.</source>
        <translation>
            <numerusform>No se espera a %n centro que no ha enviado; su trabajo de esta ronda no se usa.</numerusform>
            <numerusform>No se espera a %n centros que no han enviado; su trabajo de esta ronda no se usa.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n site(s) wait until you have compared six words and confirmed them.</source>
        <translation>
            <numerusform>%n centro espera hasta que usted haya comparado seis palabras y lo haya confirmado.</numerusform>
            <numerusform>%n centros esperan hasta que usted haya comparado seis palabras y los haya confirmado.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n specialties</source>
        <translation>
            <numerusform>%n especialidad</numerusform>
            <numerusform>%n especialidades</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thing(s) must be put right.</source>
        <translation>
            <numerusform>Hay que corregir %n punto.</numerusform>
            <numerusform>Hay que corregir %n puntos.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n thread(s)</source>
        <translation>
            <numerusform>%n hilo</numerusform>
            <numerusform>%n hilos</numerusform>
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
            <numerusform>%n tipo</numerusform>
            <numerusform>%n tipos</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n type(s) mapped.</source>
        <translation>
            <numerusform>%n tipo asignado.</numerusform>
            <numerusform>%n tipos asignados.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait</source>
        <translation>
            <numerusform>%n espera</numerusform>
            <numerusform>%n esperan</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%n wait for approval</source>
        <translation>
            <numerusform>%n espera la aprobación</numerusform>
            <numerusform>%n esperan la aprobación</numerusform>
        </translation>
    </message>
    <message>
        <source>*alone*: each site trains by itself, and is scored in the same way</source>
        <translation>*alone*: cada centro entrena por su cuenta y se puntúa del mismo modo</translation>
    </message>
    <message>
        <source>*base*: the model before any training</source>
        <translation>*base*: el modelo antes de cualquier entrenamiento</translation>
    </message>
    <message>
        <source>*centralised*: one training on the notes of all sites in one place, which no federation may do</source>
        <translation>*centralised*: un solo entrenamiento con las notas de todos los centros en un mismo lugar, cosa que ninguna federación puede hacer</translation>
    </message>
    <message>
        <source>*encoder*: token classification instead of generated text ({model}). Its loss is of tags and cannot be compared. Of FedAvg all trained weights travel, in 32 bits.</source>
        <translation>*encoder*: clasificación de tokens en lugar de texto generado ({model}). Su pérdida es de etiquetas y no se puede comparar. Con FedAvg viajan todos los pesos entrenados, en 32 bits.</translation>
    </message>
    <message>
        <source>, {share} of the full model</source>
        <translation>, {share} del modelo completo</translation>
    </message>
    <message>
        <source>1 day</source>
        <translation>1 día</translation>
    </message>
    <message>
        <source>30 days</source>
        <translation>30 días</translation>
    </message>
    <message>
        <source>7 days</source>
        <translation>7 días</translation>
    </message>
    <message>
        <source>95 % interval</source>
        <translation>Intervalo del 95&#xa0;%</translation>
    </message>
    <message>
        <source>A decision waits for me</source>
        <translation>Tengo una decisión pendiente</translation>
    </message>
    <message>
        <source>A decision waits for you</source>
        <translation>Tiene una decisión pendiente</translation>
    </message>
    <message>
        <source>A decision waits for you, and time runs out</source>
        <translation>Tiene una decisión pendiente y el tiempo se acaba</translation>
    </message>
    <message>
        <source>A higher one can learn more, and takes longer to send.</source>
        <translation>Uno mayor puede aprender más y tarda más en enviarse.</translation>
    </message>
    <message>
        <source>A long passage of your notes came out word for word that did not before this round.</source>
        <translation>Un pasaje largo de sus notas salió palabra por palabra, cosa que no ocurría antes de esta ronda.</translation>
    </message>
    <message>
        <source>A model is being fitted to the notes; the note is read when that is done.</source>
        <translation>Se está ajustando un modelo a las notas; la nota se leerá después.</translation>
    </message>
    <message numerus="yes">
        <source>A model of {amount} with %n layer(s) to adapt.</source>
        <translation>
            <numerusform>Un modelo de {amount} con %n capa que adaptar.</numerusform>
            <numerusform>Un modelo de {amount} con %n capas que adaptar.</numerusform>
        </translation>
    </message>
    <message>
        <source>A name or an address without a port, such as federation.example.org or 10.0.0.12.</source>
        <translation>Un nombre o una dirección sin puerto, como federation.example.org o 10.0.0.12.</translation>
    </message>
    <message>
        <source>A number above 0, up to {most}.</source>
        <translation>Un número mayor que 0, {most} como máximo.</translation>
    </message>
    <message>
        <source>A number of hours, such as 4, or 0.5 for half an hour.</source>
        <translation>Un número de horas, como 4, o 0,5 para media hora.</translation>
    </message>
    <message>
        <source>A number, such as 1, or 0.5 for half of the notes.</source>
        <translation>Un número, como 1, o 0,5 para la mitad de las notas.</translation>
    </message>
    <message>
        <source>A passage of your notes came out word for word that did not before this round.</source>
        <translation>Un pasaje de sus notas salió palabra por palabra, cosa que no ocurría antes de esta ronda.</translation>
    </message>
    <message>
        <source>A person at this site</source>
        <translation>Una persona de este centro</translation>
    </message>
    <message>
        <source>A round closes once all sites have answered, or when it need not wait any longer for the rest.</source>
        <translation>Una ronda se cierra cuando todos los centros han respondido, o cuando ya no hace falta esperar más a los demás.</translation>
    </message>
    <message>
        <source>A round is finished</source>
        <translation>Una ronda ha terminado</translation>
    </message>
    <message>
        <source>A round may close with one site alone.</source>
        <translation>Una ronda puede cerrarse con un solo centro.</translation>
    </message>
    <message>
        <source>A round needs updates from at least this many sites.</source>
        <translation>Una ronda necesita actualizaciones de al menos este número de centros.</translation>
    </message>
    <message>
        <source>A rule that a person set up</source>
        <translation>Una regla que estableció una persona</translation>
    </message>
    <message>
        <source>A second person must approve: ask them to write their name above.</source>
        <translation>Debe aprobar una segunda persona: pídale que escriba su nombre arriba.</translation>
    </message>
    <message>
        <source>A stricter file applies instead.</source>
        <translation>Rige en su lugar un archivo más estricto.</translation>
    </message>
    <message>
        <source>A stricter one applies instead.</source>
        <translation>Rige en su lugar uno más estricto.</translation>
    </message>
    <message>
        <source>A summary in the model&apos;s words.</source>
        <translation>Un resumen con las palabras del modelo.</translation>
    </message>
    <message>
        <source>A whole number from {least} to {most:,}.</source>
        <translation>Un número entero de {least} a {most:,}.</translation>
    </message>
    <message>
        <source>About</source>
        <translation>Acerca de</translation>
    </message>
    <message>
        <source>About and licences</source>
        <translation>Información y licencias</translation>
    </message>
    <message>
        <source>Above {little} it protects little.</source>
        <translation>Por encima de {little} protege poco.</translation>
    </message>
    <message>
        <source>Account of the computer</source>
        <translation>Cuenta del ordenador</translation>
    </message>
    <message>
        <source>Act without the right to it refused</source>
        <translation>Acción rechazada por falta de permiso</translation>
    </message>
    <message>
        <source>Acting as</source>
        <translation>En calidad de</translation>
    </message>
    <message>
        <source>Adapter</source>
        <translation>Adaptador</translation>
    </message>
    <message>
        <source>Adapter checked</source>
        <translation>Adaptador comprobado</translation>
    </message>
    <message>
        <source>Adapter for round {round}</source>
        <translation>Adaptador de la ronda {round}</translation>
    </message>
    <message>
        <source>Adapter published</source>
        <translation>Adaptador publicado</translation>
    </message>
    <message>
        <source>Adapter to begin with</source>
        <translation>Adaptador inicial</translation>
    </message>
    <message>
        <source>Adapter {name}</source>
        <translation>Adaptador {name}</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>Dirección</translation>
    </message>
    <message>
        <source>Address of this computer</source>
        <translation>Dirección de este equipo</translation>
    </message>
    <message>
        <source>After that it can no longer be taken back.</source>
        <translation>Después ya no se puede retirar.</translation>
    </message>
    <message>
        <source>After that, an adapter that nobody has decided on expires.</source>
        <translation>Después caduca un adaptador sobre el que nadie ha decidido.</translation>
    </message>
    <message>
        <source>Against</source>
        <translation>Frente a</translation>
    </message>
    <message>
        <source>Against last round</source>
        <translation>Frente a la última ronda</translation>
    </message>
    <message numerus="yes">
        <source>All %n round(s) are done</source>
        <translation>
            <numerusform>La única ronda ha terminado</numerusform>
            <numerusform>Las %n rondas han terminado</numerusform>
        </translation>
    </message>
    <message>
        <source>All but one</source>
        <translation>Todos menos uno</translation>
    </message>
    <message>
        <source>All rounds are done</source>
        <translation>Todas las rondas han terminado</translation>
    </message>
    <message>
        <source>All sites</source>
        <translation>Todos los centros</translation>
    </message>
    <message>
        <source>All tasks</source>
        <translation>Todas las tareas</translation>
    </message>
    <message>
        <source>All types</source>
        <translation>Todos los tipos</translation>
    </message>
    <message>
        <source>All types F1</source>
        <translation>F1 de todos los tipos</translation>
    </message>
    <message>
        <source>All {all:,} marked entities count.</source>
        <translation>Cuentan las {all:,} entidades marcadas.</translation>
    </message>
    <message>
        <source>Also words of your own, separated by commas.</source>
        <translation>También palabras suyas, separadas por comas.</translation>
    </message>
    <message>
        <source>An adapter of rank {rank}. The first round goes on from it.</source>
        <translation>Un adaptador de rango {rank}. La primera ronda parte de él.</translation>
    </message>
    <message>
        <source>An address on this computer, where something answers.</source>
        <translation>Una dirección de este ordenador, y algo responde en ella.</translation>
    </message>
    <message>
        <source>An address on this computer.</source>
        <translation>Una dirección de este ordenador.</translation>
    </message>
    <message>
        <source>An answer was longer than allowed and was cut off: some may be missing.</source>
        <translation>Una respuesta era más larga de lo permitido y se cortó: puede faltar alguna.</translation>
    </message>
    <message>
        <source>An update has at most {most} bytes.</source>
        <translation>Una actualización tiene {most} bytes como máximo.</translation>
    </message>
    <message numerus="yes">
        <source>And %n more row(s).</source>
        <translation>
            <numerusform>Y %n fila más.</numerusform>
            <numerusform>Y %n filas más.</numerusform>
        </translation>
    </message>
    <message>
        <source>Annotations that are not read ({what}): {count}.</source>
        <translation>Anotaciones que no se leen ({what}): {count}.</translation>
    </message>
    <message>
        <source>Appearance</source>
        <translation>Aspecto</translation>
    </message>
    <message>
        <source>Approval</source>
        <translation>Aprobación</translation>
    </message>
    <message>
        <source>Approval of an update</source>
        <translation>Aprobación de una actualización</translation>
    </message>
    <message>
        <source>Approval taken back</source>
        <translation>Aprobación retirada</translation>
    </message>
    <message>
        <source>Approvals</source>
        <translation>Aprobaciones</translation>
    </message>
    <message>
        <source>Approve</source>
        <translation>Aprobar</translation>
    </message>
    <message>
        <source>Approved</source>
        <translation>Aprobado</translation>
    </message>
    <message>
        <source>Approved, waiting for the coordinator</source>
        <translation>Aprobado; a la espera del coordinador</translation>
    </message>
    <message>
        <source>As agreed for the pilot</source>
        <translation>Según lo acordado para el piloto</translation>
    </message>
    <message>
        <source>As good as {earlier} after as many rounds ({rounds}): {now} of 100 found correctly</source>
        <translation>Igual que {earlier} tras el mismo número de rondas ({rounds}): {now} aciertos de cada 100</translation>
    </message>
    <message>
        <source>Asked for again</source>
        <translation>Se volvió a pedir</translation>
    </message>
    <message>
        <source>Asking</source>
        <translation>Preguntando</translation>
    </message>
    <message>
        <source>Asking the model about what was found.</source>
        <translation>Se pregunta por lo encontrado.</translation>
    </message>
    <message>
        <source>At most 80 letters.</source>
        <translation>Como máximo 80 letras.</translation>
    </message>
    <message>
        <source>Audit record of {owner}</source>
        <translation>Registro de auditoría de {owner}</translation>
    </message>
    <message>
        <source>Backup made</source>
        <translation>Copia de seguridad hecha</translation>
    </message>
    <message>
        <source>Base model</source>
        <translation>Modelo base</translation>
    </message>
    <message>
        <source>Before the federation</source>
        <translation>Antes de la federación</translation>
    </message>
    <message>
        <source>Begin the round</source>
        <translation>Empezar la ronda</translation>
    </message>
    <message>
        <source>Begin while a model is being fitted?</source>
        <translation>¿Empezar mientras se ajusta un modelo?</translation>
    </message>
    <message>
        <source>Begin without the sites that are missing?</source>
        <translation>¿Empezar sin los centros que faltan?</translation>
    </message>
    <message>
        <source>Better on {notes}, fairly sure</source>
        <translation>Mejor en {notes}, con bastante seguridad</translation>
    </message>
    <message>
        <source>Better than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then</source>
        <translation>Mejor que {earlier} tras el mismo número de rondas ({rounds}): {now} aciertos de cada 100, frente a {then} entonces</translation>
    </message>
    <message>
        <source>Bound to the entry before</source>
        <translation>Ligada a la entrada anterior</translation>
    </message>
    <message>
        <source>Call them at a number that you already have, not one from an e-mail. Their page Rounds shows six words; read these out to each other:</source>
        <translation>Llámelos a un número que ya tenga, no a uno de un correo. Su página Rondas muestra seis palabras; léanselas mutuamente:</translation>
    </message>
    <message>
        <source>Can join until</source>
        <translation>Puede unirse hasta</translation>
    </message>
    <message>
        <source>Candidates from the official ICD-10-CM table, best first. The bar compares each with the best.</source>
        <translation>Candidatos de la tabla oficial ICD-10-CM, el mejor primero. La barra los compara con el mejor.</translation>
    </message>
    <message>
        <source>Category in first 10</source>
        <translation>Categoría entre las 10 primeras</translation>
    </message>
    <message>
        <source>Certificate</source>
        <translation>Certificado</translation>
    </message>
    <message>
        <source>Certificate made</source>
        <translation>Certificado creado</translation>
    </message>
    <message>
        <source>Change and try again</source>
        <translation>Cambiar y volver a intentarlo</translation>
    </message>
    <message>
        <source>Change how to join</source>
        <translation>Cambiar la forma de unirse</translation>
    </message>
    <message>
        <source>Change of the model</source>
        <translation>Cambio del modelo</translation>
    </message>
    <message>
        <source>Changed</source>
        <translation>Modificada</translation>
    </message>
    <message>
        <source>Characters per note: half have up to / nine in ten up to</source>
        <translation>Caracteres por nota: la mitad, hasta / nueve de cada diez, hasta</translation>
    </message>
    <message>
        <source>Checking…</source>
        <translation>Comprobando…</translation>
    </message>
    <message>
        <source>Choose at least one.</source>
        <translation>Elija al menos una.</translation>
    </message>
    <message>
        <source>Choose one above.</source>
        <translation>Elija uno arriba.</translation>
    </message>
    <message>
        <source>Choose the folder to see what is in it and what needs a look. Notes are only read; nothing is copied.</source>
        <translation>Elija la carpeta para ver qué contiene y qué conviene revisar. Las notas solo se leen; no se copia nada.</translation>
    </message>
    <message>
        <source>Chosen at random in each round. Leave it empty to ask all.</source>
        <translation>Se eligen al azar en cada ronda. Déjelo vacío para preguntar a todos.</translation>
    </message>
    <message>
        <source>Clock</source>
        <translation>Reloj</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Close before it is sent?</source>
        <translation>¿Cerrar antes de que se envíe?</translation>
    </message>
    <message>
        <source>Close round {round} now?</source>
        <translation>¿Cerrar ahora la ronda {round}?</translation>
    </message>
    <message>
        <source>Close the demonstration?</source>
        <translation>¿Cerrar la demostración?</translation>
    </message>
    <message>
        <source>Close the program</source>
        <translation>Cerrar el programa</translation>
    </message>
    <message>
        <source>Close the round</source>
        <translation>Cerrar la ronda</translation>
    </message>
    <message>
        <source>Close while a model is being fitted?</source>
        <translation>¿Cerrar mientras se ajusta un modelo?</translation>
    </message>
    <message>
        <source>Close while training?</source>
        <translation>¿Cerrar durante el entrenamiento?</translation>
    </message>
    <message>
        <source>Close while your decision is awaited?</source>
        <translation>¿Cerrar mientras se espera su decisión?</translation>
    </message>
    <message>
        <source>Closing</source>
        <translation>Cerrando</translation>
    </message>
    <message>
        <source>Code in the first 10</source>
        <translation>Código entre los 10 primeros</translation>
    </message>
    <message>
        <source>Codes / different codes</source>
        <translation>Códigos / códigos distintos</translation>
    </message>
    <message>
        <source>Codes F1</source>
        <translation>F1 de códigos</translation>
    </message>
    <message>
        <source>Codes near the top</source>
        <translation>Códigos cerca del principio</translation>
    </message>
    <message>
        <source>Combine</source>
        <translation>Combinar</translation>
    </message>
    <message>
        <source>Combined drift</source>
        <translation>Deriva combinada</translation>
    </message>
    <message numerus="yes">
        <source>Combined model on notes of %n site(s) that sent, since round {round}</source>
        <translation>
            <numerusform>Modelo combinado en las notas de %n centro que envió, desde la ronda {round}</numerusform>
            <numerusform>Modelo combinado en las notas de %n centros que enviaron, desde la ronda {round}</numerusform>
        </translation>
    </message>
    <message>
        <source>Combining</source>
        <translation>Combinando</translation>
    </message>
    <message>
        <source>Compare it with the coordinator&apos;s record now and then: only that shows whether its end was cut off.</source>
        <translation>Compárelo de vez en cuando con el registro del coordinador: solo así se ve si le cortaron el final.</translation>
    </message>
    <message>
        <source>Compare six words with {site}</source>
        <translation>Comparar seis palabras con {site}</translation>
    </message>
    <message>
        <source>Compare with an earlier federation</source>
        <translation>Comparar con una federación anterior</translation>
    </message>
    <message>
        <source>Comparing on your validation notes…</source>
        <translation>Comparando con sus notas de validación…</translation>
    </message>
    <message>
        <source>Confirmation</source>
        <translation>Confirmación</translation>
    </message>
    <message>
        <source>Connected</source>
        <translation>Conectado</translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation>Conectando</translation>
    </message>
    <message>
        <source>Connecting again.</source>
        <translation>Conectando de nuevo.</translation>
    </message>
    <message>
        <source>Connecting to the coordinator at {address}.</source>
        <translation>Conectando con el coordinador en {address}.</translation>
    </message>
    <message>
        <source>Connecting to the coordinator…</source>
        <translation>Conectando con el coordinador…</translation>
    </message>
    <message>
        <source>Connection</source>
        <translation>Conexión</translation>
    </message>
    <message>
        <source>Connections made</source>
        <translation>Conexiones realizadas</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Continuar</translation>
    </message>
    <message>
        <source>Counted</source>
        <translation>Se cuenta</translation>
    </message>
    <message>
        <source>Counted by note, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta}).</source>
        <translation>Contado por nota, con esta actualización se gasta épsilon {spent} de {total} y queda {left} (delta {delta}).</translation>
    </message>
    <message>
        <source>Counted by patient, epsilon {spent} of {total} is spent with this update, {left} is left (delta {delta}).</source>
        <translation>Contado por paciente, con esta actualización se gasta épsilon {spent} de {total} y queda {left} (delta {delta}).</translation>
    </message>
    <message>
        <source>Counts and a loss over all these notes together. No adapter leaves.</source>
        <translation>Recuentos y una pérdida sobre todas estas notas juntas. No sale ningún adaptador.</translation>
    </message>
    <message>
        <source>Counts of your notes</source>
        <translation>Recuentos de sus notas</translation>
    </message>
    <message>
        <source>Deadline</source>
        <translation>Plazo</translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation>Plazos</translation>
    </message>
    <message>
        <source>Decided by</source>
        <translation>Decidido por</translation>
    </message>
    <message>
        <source>Decided on (sha256)</source>
        <translation>Se decidió sobre (sha256)</translation>
    </message>
    <message>
        <source>Decision</source>
        <translation>Decisión</translation>
    </message>
    <message>
        <source>Decision asked for again</source>
        <translation>Se volvió a pedir la decisión</translation>
    </message>
    <message>
        <source>Decision to keep the update</source>
        <translation>Decisión de conservar la actualización</translation>
    </message>
    <message>
        <source>Decisions</source>
        <translation>Decisiones</translation>
    </message>
    <message>
        <source>Details: {error}</source>
        <translation>Detalles: {error}</translation>
    </message>
    <message>
        <source>Did not answer in time</source>
        <translation>No respondió a tiempo</translation>
    </message>
    <message>
        <source>Difference</source>
        <translation>Diferencia</translation>
    </message>
    <message>
        <source>Disk</source>
        <translation>Disco</translation>
    </message>
    <message>
        <source>Dismiss</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>Hecho</translation>
    </message>
    <message>
        <source>Download</source>
        <translation>Descargar</translation>
    </message>
    <message>
        <source>Downloading</source>
        <translation>Descargando</translation>
    </message>
    <message>
        <source>Drift</source>
        <translation>Deriva</translation>
    </message>
    <message>
        <source>Drift is computed in this project&apos;s own way.</source>
        <translation>La deriva se calcula de un modo propio de este proyecto.</translation>
    </message>
    <message>
        <source>Drift: {values}</source>
        <translation>Deriva: {values}</translation>
    </message>
    <message>
        <source>Duration</source>
        <translation>Duración</translation>
    </message>
    <message>
        <source>Each method is compared with the best of the other federated ones.</source>
        <translation>Cada método se compara con el mejor de los demás métodos federados.</translation>
    </message>
    <message>
        <source>Each note</source>
        <translation>Cada nota</translation>
    </message>
    <message>
        <source>Each patient</source>
        <translation>Cada paciente</translation>
    </message>
    <message>
        <source>Each site reports how many entities of each type its notes have.</source>
        <translation>Cada centro comunica cuántas entidades de cada tipo tienen sus notas.</translation>
    </message>
    <message>
        <source>Each site reports how many notes of each specialty it has.</source>
        <translation>Cada centro comunica cuántas notas de cada especialidad tiene.</translation>
    </message>
    <message>
        <source>Encryption</source>
        <translation>Cifrado</translation>
    </message>
    <message>
        <source>End and publish</source>
        <translation>Terminar y publicar</translation>
    </message>
    <message>
        <source>End it</source>
        <translation>Terminarla</translation>
    </message>
    <message>
        <source>End of the log</source>
        <translation>Final del archivo de registro</translation>
    </message>
    <message>
        <source>End the demonstration?</source>
        <translation>¿Terminar la demostración?</translation>
    </message>
    <message>
        <source>End the federation with the adapter of round {round}?</source>
        <translation>¿Terminar la federación con el adaptador de la ronda {round}?</translation>
    </message>
    <message>
        <source>Ends</source>
        <translation>Termina</translation>
    </message>
    <message>
        <source>Enter never sends. Press the space bar, or click.</source>
        <translation>Intro nunca envía. Pulse la barra espaciadora o haga clic.</translation>
    </message>
    <message>
        <source>Entities</source>
        <translation>Entidades</translation>
    </message>
    <message>
        <source>Entities F1</source>
        <translation>F1 de entidades</translation>
    </message>
    <message>
        <source>Entities by type</source>
        <translation>Entidades por tipo</translation>
    </message>
    <message>
        <source>Entities in training notes by type</source>
        <translation>Entidades de las notas de entrenamiento, por tipo</translation>
    </message>
    <message>
        <source>Entry</source>
        <translation>Entrada</translation>
    </message>
    <message>
        <source>Evaluating…</source>
        <translation>Evaluando…</translation>
    </message>
    <message>
        <source>Every number that leaves</source>
        <translation>Todos los números que salen</translation>
    </message>
    <message>
        <source>Every page can be skipped, and everything can be done later. The program works without a network.</source>
        <translation>Puede omitir cualquier página y hacerlo todo más tarde. El programa funciona sin red.</translation>
    </message>
    <message>
        <source>Every site needs the same files.</source>
        <translation>Cada centro necesita los mismos archivos.</translation>
    </message>
    <message>
        <source>Every site sees it.</source>
        <translation>Todos los centros lo ven.</translation>
    </message>
    <message>
        <source>Everything is fine; there is nothing to do here. The round continues with other sites: not every site is asked in each round, and a site that joins late waits for the next one.</source>
        <translation>Todo está bien; aquí no hay nada que hacer. La ronda sigue con otros centros: no se convoca a todos los centros en cada ronda, y un centro que se une tarde espera a la siguiente.</translation>
    </message>
    <message>
        <source>Everything that the federation needs is kept there.</source>
        <translation>Guarda todo lo que la federación necesita.</translation>
    </message>
    <message>
        <source>Expires when the round closes</source>
        <translation>Caduca cuando se cierra la ronda</translation>
    </message>
    <message>
        <source>Expires {time}, {left} left</source>
        <translation>Caduca: {time}, en {left}</translation>
    </message>
    <message>
        <source>Exported to a file</source>
        <translation>Exportado a un archivo</translation>
    </message>
    <message>
        <source>F1</source>
        <translation>F1</translation>
    </message>
    <message>
        <source>Factor {factors} of your adapter: no byte of it is in this update.</source>
        <translation>Factor {factors} de su adaptador: ni un byte de él está en esta actualización.</translation>
    </message>
    <message>
        <source>Failed</source>
        <translation>Fallido</translation>
    </message>
    <message>
        <source>Federation</source>
        <translation>Federación</translation>
    </message>
    <message>
        <source>Federation finished</source>
        <translation>Federación terminada</translation>
    </message>
    <message>
        <source>Federation joined</source>
        <translation>Unión a la federación</translation>
    </message>
    <message>
        <source>Federation left</source>
        <translation>Salida de la federación</translation>
    </message>
    <message>
        <source>Federation paused</source>
        <translation>Federación en pausa</translation>
    </message>
    <message>
        <source>Federation resumed</source>
        <translation>Federación reanudada</translation>
    </message>
    <message>
        <source>Federation, final</source>
        <translation>Federación, final</translation>
    </message>
    <message>
        <source>Federation, {when}</source>
        <translation>Federación, {when}</translation>
    </message>
    <message>
        <source>Fetching the adapter</source>
        <translation>Obteniendo el adaptador</translation>
    </message>
    <message>
        <source>Fewer than the sites that a round needs: no round could close.</source>
        <translation>Menos que los centros que necesita una ronda: ninguna ronda podría cerrarse.</translation>
    </message>
    <message>
        <source>Files of older updates are deleted, combined adapters never. Leave it empty to keep all.</source>
        <translation>Se borran los archivos de actualizaciones más antiguas, nunca los adaptadores combinados. Déjelo vacío para guardarlo todo.</translation>
    </message>
    <message>
        <source>Files that are not read: {files}.</source>
        <translation>Archivos que no se leen: {files}.</translation>
    </message>
    <message numerus="yes">
        <source>Final in %n second(s)</source>
        <translation>
            <numerusform>Definitivo en %n segundo</numerusform>
            <numerusform>Definitivo en %n segundos</numerusform>
        </translation>
    </message>
    <message>
        <source>Final now</source>
        <translation>Ya es definitivo</translation>
    </message>
    <message>
        <source>Final scores</source>
        <translation>Puntuaciones finales</translation>
    </message>
    <message>
        <source>Finds {hits:.0%} of them at 1% false alarms (guessing: 1%).</source>
        <translation>Encuentra el {hits:.0%} de ellas con un 1&#xa0;% de falsas alarmas (al azar: 1&#xa0;%).</translation>
    </message>
    <message>
        <source>Fingerprint of its key</source>
        <translation>Huella de su clave</translation>
    </message>
    <message>
        <source>Finish</source>
        <translation>Terminar</translation>
    </message>
    <message>
        <source>Finished</source>
        <translation>Terminado</translation>
    </message>
    <message>
        <source>Finishing and saving the current step. Nothing is lost.</source>
        <translation>Terminando y guardando el paso actual. No se pierde nada.</translation>
    </message>
    <message>
        <source>First approval</source>
        <translation>Primera aprobación</translation>
    </message>
    <message>
        <source>First of two approvals</source>
        <translation>Primera de dos aprobaciones</translation>
    </message>
    <message>
        <source>Fitted to our notes</source>
        <translation>Ajustado a nuestras notas</translation>
    </message>
    <message>
        <source>Fitted to {site}</source>
        <translation>Ajustado a {site}</translation>
    </message>
    <message>
        <source>Fitted: it is surer of the right answers, but finds less: {after} of 100 on your validation notes, {before} with the common model.</source>
        <translation>Ajustado: está más seguro de las respuestas correctas, pero encuentra menos: {after} de cada 100 en sus notas de validación, {before} con el modelo común.</translation>
    </message>
    <message>
        <source>Fitted: it is surer of the right answers, but finds no more: {after} of 100 on your validation notes.</source>
        <translation>Ajustado: está más seguro de las respuestas correctas, pero no encuentra más: {after} de cada 100 en sus notas de validación.</translation>
    </message>
    <message>
        <source>Fitted: on your validation notes it is surer of the right answers than the common model.</source>
        <translation>Ajustado: en sus notas de validación está más seguro de las respuestas correctas que el modelo común.</translation>
    </message>
    <message>
        <source>Fitted: {after} of 100 found correctly on your validation notes, {before} with the common model.</source>
        <translation>Ajustado: {after} aciertos de cada 100 en sus notas de validación, {before} con el modelo común.</translation>
    </message>
    <message>
        <source>Folder</source>
        <translation>Carpeta</translation>
    </message>
    <message>
        <source>Folder of the federation</source>
        <translation>Carpeta de la federación</translation>
    </message>
    <message>
        <source>For differential privacy: the smaller, the better protected. Leave it empty to do without.</source>
        <translation>Para la privacidad diferencial: cuanto menor, mejor protegido. Déjelo vacío para prescindir de ella.</translation>
    </message>
    <message>
        <source>For every update: {does}.</source>
        <translation>Para cada actualización: {does}.</translation>
    </message>
    <message>
        <source>For example the final one of an earlier federation. Leave it empty to start from scratch.</source>
        <translation>Por ejemplo, el final de una federación anterior. Déjelo vacío para empezar de cero.</translation>
    </message>
    <message>
        <source>For some tasks it finds nothing on {notes}, after training as well: {tasks}.</source>
        <translation>En algunas tareas no encuentra nada en {notes}, tampoco después del entrenamiento: {tasks}.</translation>
    </message>
    <message>
        <source>For specialists</source>
        <translation>Para expertos</translation>
    </message>
    <message>
        <source>Form</source>
        <translation>Forma</translation>
    </message>
    <message>
        <source>Found correctly, of 100</source>
        <translation>Aciertos de cada 100</translation>
    </message>
    <message>
        <source>Found correctly, of 100, on {notes}.</source>
        <translation>Aciertos de cada 100, en {notes}.</translation>
    </message>
    <message>
        <source>Found one of your own, let this computer serve it, and invite other hospitals.</source>
        <translation>Cree la suya, deje que este ordenador la aloje e invite a otros hospitales.</translation>
    </message>
    <message>
        <source>Friday</source>
        <translation>viernes</translation>
    </message>
    <message>
        <source>From the update alone</source>
        <translation>Solo a partir de la actualización</translation>
    </message>
    <message>
        <source>From types.toml beside the notes:</source>
        <translation>De types.toml, junto a las notas:</translation>
    </message>
    <message>
        <source>From your hospital&apos;s certificate authority, as a PEM file. Left empty, the program makes its own.</source>
        <translation>De la autoridad de certificación de su hospital, como archivo PEM. Si se deja vacío, el programa crea el suyo.</translation>
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
        <translation>Seguir</translation>
    </message>
    <message>
        <source>Go on serving {federation}?</source>
        <translation>¿Seguir alojando {federation}?</translation>
    </message>
    <message>
        <source>Go on serving, and close</source>
        <translation>Seguir y cerrar</translation>
    </message>
    <message>
        <source>Go on waiting</source>
        <translation>Seguir esperando</translation>
    </message>
    <message>
        <source>Go on with the rounds</source>
        <translation>Seguir con las rondas</translation>
    </message>
    <message numerus="yes">
        <source>Half of the change is in %n of {all} layers, most of it in layer {most}.</source>
        <translation>
            <numerusform>La mitad del cambio está en %n de {all} capas; la mayor parte, en la capa {most}.</numerusform>
            <numerusform>La mitad del cambio está en %n de {all} capas; la mayor parte, en la capa {most}.</numerusform>
        </translation>
    </message>
    <message>
        <source>Hardly protected by differential privacy: its epsilon is too large.</source>
        <translation>Apenas protegido por la privacidad diferencial: su épsilon es demasiado grande.</translation>
    </message>
    <message>
        <source>Has not connected yet</source>
        <translation>Aún no se ha conectado</translation>
    </message>
    <message>
        <source>Held. Nothing of this update has left.</source>
        <translation>En espera. Nada de esta actualización ha salido.</translation>
    </message>
    <message>
        <source>Here the example notes of {site} stand for yours.</source>
        <translation>Aquí las notas de ejemplo de {site} hacen de las suyas.</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Historial</translation>
    </message>
    <message>
        <source>Hold decides nothing. Keep leaves it here for this round. Send can be taken back for ten seconds.</source>
        <translation>Dejar en espera no decide nada. Conservar lo deja aquí en esta ronda. El envío se puede retirar durante diez segundos.</translation>
    </message>
    <message>
        <source>Host</source>
        <comment>who hosts</comment>
        <translation>Anfitrión</translation>
    </message>
    <message>
        <source>Host</source>
        <translation>Alojar</translation>
    </message>
    <message>
        <source>Host a federation</source>
        <translation>Alojar una federación</translation>
    </message>
    <message>
        <source>Hosting</source>
        <translation>Alojamiento</translation>
    </message>
    <message>
        <source>Hosts that this program connected to</source>
        <translation>Equipos a los que se conectó este programa</translation>
    </message>
    <message>
        <source>Hours for each decision</source>
        <translation>Horas para cada decisión</translation>
    </message>
    <message>
        <source>Hours that a round may take</source>
        <translation>Horas que puede durar una ronda</translation>
    </message>
    <message>
        <source>How far the adapter has moved is being measured.</source>
        <translation>Se está midiendo cuánto se ha movido el adaptador.</translation>
    </message>
    <message>
        <source>How it differs</source>
        <translation>En qué se diferencia</translation>
    </message>
    <message>
        <source>How likely the model finds each answer compared with the others. It does not say how sure you can be.</source>
        <translation>Lo probable que el modelo considera cada respuesta en comparación con las demás. No dice lo seguro que puede estar usted.</translation>
    </message>
    <message>
        <source>How long</source>
        <translation>Duración</translation>
    </message>
    <message>
        <source>How often a site goes through its notes in a round.</source>
        <translation>Cuántas veces recorre un centro sus notas en una ronda.</translation>
    </message>
    <message>
        <source>How this site&apos;s notes compare with the federation&apos;s is known after the next round.</source>
        <translation>La comparación de las notas de este centro con las de la federación se conocerá después de la próxima ronda.</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Qué resultados da</translation>
    </message>
    <message>
        <source>ICD-10 codes</source>
        <translation>Códigos CIE-10</translation>
    </message>
    <message>
        <source>ICD-10 codes F1</source>
        <translation>F1 de códigos CIE-10</translation>
    </message>
    <message>
        <source>Identity</source>
        <translation>Identidad</translation>
    </message>
    <message>
        <source>If it is combining updates, this may take half a minute.</source>
        <translation>Una combinación en curso puede tardar medio minuto.</translation>
    </message>
    <message>
        <source>If it stops, sites wait for it; nothing is lost.</source>
        <translation>Si se detiene, los centros lo esperan; no se pierde nada.</translation>
    </message>
    <message>
        <source>If nobody decides before the round closes, it closes without this site.</source>
        <translation>Si nadie decide antes de que se cierre la ronda, esta se cierra sin este centro.</translation>
    </message>
    <message>
        <source>If the words differ, somebody is intercepting the connection: stop, and tell the host.</source>
        <translation>Si las palabras son distintas, alguien está interceptando la conexión: deténgase y avise al anfitrión.</translation>
    </message>
    <message>
        <source>If they differ, somebody is in between, or it is another computer. Then let nobody in.</source>
        <translation>Si difieren, hay alguien en medio, o es otro ordenador. Entonces no deje entrar a nadie.</translation>
    </message>
    <message>
        <source>If your network forwards another port to the one above.</source>
        <translation>Si su red reenvía otro puerto al de arriba.</translation>
    </message>
    <message>
        <source>Imported from a file</source>
        <translation>Importado de un archivo</translation>
    </message>
    <message>
        <source>In each round, every site trains once and decides once.</source>
        <translation>En cada una, cada centro entrena y decide una vez.</translation>
    </message>
    <message>
        <source>In round {n}, on notes kept aside</source>
        <translation>En la ronda {n}, en notas reservadas</translation>
    </message>
    <message>
        <source>In the background</source>
        <translation>En segundo plano</translation>
    </message>
    <message>
        <source>In the file: {words}.</source>
        <translation>En el archivo: {words}.</translation>
    </message>
    <message>
        <source>In the notes</source>
        <translation>En las notas</translation>
    </message>
    <message>
        <source>In this round</source>
        <translation>En esta ronda</translation>
    </message>
    <message>
        <source>Inferred: {names}. The parts of these papers that could be read contain no formulas; these methods were designed from their descriptions, and no number here can be compared with theirs.</source>
        <translation>Inferido: {names}. Las partes de estos artículos que se pudieron leer no contienen fórmulas; estos métodos se diseñaron a partir de sus descripciones, y ningún número de aquí se puede comparar con los suyos.</translation>
    </message>
    <message>
        <source>Intended</source>
        <translation>Previsto</translation>
    </message>
    <message>
        <source>Intervals of few seeds are much too narrow: lower and higher are shown only where a paired t-test over seeds finds a difference as well. No difference shown does not prove that there is none.</source>
        <translation>Los intervalos con pocas semillas son demasiado estrechos: «menor» y «mayor» solo se muestran si una prueba t pareada entre semillas también encuentra una diferencia. «Sin diferencia demostrada» no demuestra que no la haya.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are hardly known better than others.</source>
        <translation>El modelo apenas conoce mejor que otros los datos inventados con los que se entrenó.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are known a little.</source>
        <translation>El modelo conoce un poco los datos inventados con los que se entrenó.</translation>
    </message>
    <message>
        <source>Invented records that were trained on are known: a real one seen as often would be too.</source>
        <translation>El modelo conoce los datos inventados con los que se entrenó: también conocería un dato real visto el mismo número de veces.</translation>
    </message>
    <message>
        <source>Invite a site</source>
        <translation>Invitar a un centro</translation>
    </message>
    <message>
        <source>Invite the sites.</source>
        <translation>Invite a los centros.</translation>
    </message>
    <message>
        <source>Invite {site} anew</source>
        <translation>Invitar de nuevo a {site}</translation>
    </message>
    <message>
        <source>Invited</source>
        <translation>Invitado</translation>
    </message>
    <message>
        <source>It becomes the final one, and no round follows. What sites send in this round is not used.</source>
        <translation>Pasa a ser el final, y no sigue ninguna ronda. Lo que envíen los centros en esta ronda no se usa.</translation>
    </message>
    <message>
        <source>It begins as soon as this computer has time for it.</source>
        <translation>Empieza en cuanto este ordenador tenga tiempo para ello.</translation>
    </message>
    <message>
        <source>It can come with another key then: from another computer, or after it lost its folder.</source>
        <translation>Entonces puede venir con otra clave: desde otro ordenador, o tras perder su carpeta.</translation>
    </message>
    <message>
        <source>It can no longer be taken back.</source>
        <translation>Ya no se puede retirar.</translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator does not answer; sending continues once it does.</source>
        <translation>Ya no se puede retirar. El coordinador no responde; el envío continuará cuando lo haga.</translation>
    </message>
    <message>
        <source>It can no longer be taken back. The coordinator fetches exactly what you approved.</source>
        <translation>Ya no se puede retirar. El coordinador recoge exactamente lo que usted aprobó.</translation>
    </message>
    <message>
        <source>It closes at {time}, or once all have answered.</source>
        <translation>Cierre: {time}, o en cuanto todos hayan respondido.</translation>
    </message>
    <message>
        <source>It closes once all have answered.</source>
        <translation>Se cierra en cuanto todos hayan respondido.</translation>
    </message>
    <message>
        <source>It counts until {time}.</source>
        <translation>Válida hasta: {time}.</translation>
    </message>
    <message>
        <source>It does not count in this round.</source>
        <translation>No cuenta en esta ronda.</translation>
    </message>
    <message>
        <source>It finds nothing on {notes} yet</source>
        <translation>Todavía no encuentra nada en {notes}</translation>
    </message>
    <message>
        <source>It finds nothing on {notes}, after training as well: sending it helps nobody.</source>
        <translation>No encuentra nada en {notes}, tampoco después del entrenamiento: enviarlo no ayuda a nadie.</translation>
    </message>
    <message>
        <source>It finds nothing yet</source>
        <translation>Todavía no encuentra nada</translation>
    </message>
    <message>
        <source>It finishes at {time} at the latest.</source>
        <translation>Termina como muy tarde: {time}.</translation>
    </message>
    <message>
        <source>It holds a single step, and from a single step published attacks can rebuild whole texts.</source>
        <translation>Contiene un solo paso, y a partir de un solo paso los ataques publicados reconstruyen textos enteros.</translation>
    </message>
    <message>
        <source>It is combined from the updates that have come: {count}.</source>
        <translation>Se combina a partir de las actualizaciones recibidas: {count}.</translation>
    </message>
    <message>
        <source>It is for {names}, not for the address above: sites will refuse it.</source>
        <translation>Es para {names}, no para la dirección de arriba: los centros lo rechazarán.</translation>
    </message>
    <message>
        <source>It is right for {share:.0%} of pairs of notes, {low:.0%} to {high:.0%} (guessing: 50%); {trained} notes that were trained on, {other} held out.</source>
        <translation>Acierta en el {share:.0%} de los pares de notas, de {low:.0%} a {high:.0%} (al azar: 50&#xa0;%); {trained} notas usadas para entrenar, {other} reservadas.</translation>
    </message>
    <message>
        <source>It is saved in {folder}.</source>
        <translation>Se guarda en {folder}.</translation>
    </message>
    <message>
        <source>It is sent once the coordinator is back.</source>
        <translation>Se envía cuando vuelva el coordinador.</translation>
    </message>
    <message>
        <source>It is trained on at least {least} notes.</source>
        <translation>Se entrena con al menos {least} notas.</translation>
    </message>
    <message>
        <source>It is trained with differential privacy, and at most epsilon {most} is spent.</source>
        <translation>Se entrena con privacidad diferencial, y se gasta épsilon {most} como máximo.</translation>
    </message>
    <message>
        <source>It leaves in {left} s.</source>
        <translation>Sale en {left} s.</translation>
    </message>
    <message>
        <source>It leaves now.</source>
        <translation>Sale ahora.</translation>
    </message>
    <message>
        <source>It makes you a host of this federation. You need neither a model nor notes for that.</source>
        <translation>Le convierte en anfitrión de esta federación. Para ello no necesita ni modelo ni notas.</translation>
    </message>
    <message>
        <source>It starts from the beginning next time. What it has written so far is not kept.</source>
        <translation>La próxima vez empieza desde el principio. Lo que ha escrito hasta ahora no se conserva.</translation>
    </message>
    <message>
        <source>It starts over.</source>
        <translation>Vuelve a empezar.</translation>
    </message>
    <message>
        <source>It sums {steps} steps of {batch} passages from {notes} notes at rank {rank}; published attacks rebuild texts from a single step. More steps, more notes and a lower rank make it harder; nothing here proves that it cannot be done.</source>
        <translation>Suma {steps} pasos de {batch} pasajes de {notes} notas con rango {rank}; los ataques publicados reconstruyen textos a partir de un solo paso. Más pasos, más notas y un rango más bajo lo hacen más difícil; nada de aquí demuestra que sea imposible.</translation>
    </message>
    <message>
        <source>It was begun but did not finish.</source>
        <translation>Se empezó y no llegó a su fin.</translation>
    </message>
    <message>
        <source>It will be made.</source>
        <translation>Se creará.</translation>
    </message>
    <message>
        <source>Its answer: {option}</source>
        <translation>Su respuesta: {option}</translation>
    </message>
    <message>
        <source>Its connection ends, and no round waits for it any more. What it has sent before still counts.</source>
        <translation>Su conexión termina, y ninguna ronda lo espera más. Lo que envió antes sigue contando.</translation>
    </message>
    <message>
        <source>Its curves are drawn in grey behind the present ones, and what it had found after as many rounds.</source>
        <translation>Sus curvas se dibujan en gris detrás de las actuales, junto con lo que encontraba tras el mismo número de rondas.</translation>
    </message>
    <message>
        <source>Its disk is full, or a file is missing there. It continues by itself once that is solved; there is nothing to do here.</source>
        <translation>Su disco está lleno o le falta un archivo. Continúa solo cuando se resuelva; aquí no hay nada que hacer.</translation>
    </message>
    <message>
        <source>Its final adapter is on this computer. Try it on a note, beside the base model.</source>
        <translation>Su adaptador final está en este ordenador. Pruébelo con una nota, junto al modelo base.</translation>
    </message>
    <message>
        <source>Its final adapter is the one of round {round}.</source>
        <translation>Su adaptador final es el de la ronda {round}.</translation>
    </message>
    <message>
        <source>Its last training was on your notes alone: keep it at your site.</source>
        <translation>Su último entrenamiento fue solo con sus notas: guárdelo en su centro.</translation>
    </message>
    <message>
        <source>Its own hash</source>
        <translation>Su propio hash</translation>
    </message>
    <message>
        <source>Its private key, as a PEM file without a password.</source>
        <translation>Su clave privada, como archivo PEM sin contraseña.</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Unirse</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Unirse a una federación</translation>
    </message>
    <message>
        <source>Join one with the invitation that its host gave you, or look at a demonstration first.</source>
        <translation>Únase a una con la invitación que le dio su anfitrión, o vea primero una demostración.</translation>
    </message>
    <message>
        <source>Keep it</source>
        <translation>Mantenerlo</translation>
    </message>
    <message>
        <source>Keep taking part</source>
        <translation>Seguir participando</translation>
    </message>
    <message>
        <source>Keep taking part while the window is closed?</source>
        <translation>¿Seguir participando con la ventana cerrada?</translation>
    </message>
    <message>
        <source>Keep the window open</source>
        <translation>Dejar la ventana abierta</translation>
    </message>
    <message>
        <source>Keep training</source>
        <translation>Seguir entrenando</translation>
    </message>
    <message>
        <source>Keep watching</source>
        <translation>Seguir viendo</translation>
    </message>
    <message>
        <source>Kept on site</source>
        <translation>Conservado en el centro</translation>
    </message>
    <message>
        <source>Kept on this computer</source>
        <translation>Conservado en este ordenador</translation>
    </message>
    <message>
        <source>Key of the certificate</source>
        <translation>Clave del certificado</translation>
    </message>
    <message>
        <source>Key of the site</source>
        <translation>Clave del centro</translation>
    </message>
    <message>
        <source>Keys of rows that are not read: {keys}.</source>
        <translation>Claves de filas que no se leen: {keys}.</translation>
    </message>
    <message>
        <source>Last seen</source>
        <translation>Última señal</translation>
    </message>
    <message>
        <source>Layer</source>
        <translation>Capa</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Capa por capa</translation>
    </message>
    <message>
        <source>Learning from your notes…</source>
        <translation>Aprendiendo de sus notas…</translation>
    </message>
    <message>
        <source>Learning rate</source>
        <translation>Tasa de aprendizaje</translation>
    </message>
    <message>
        <source>Leave it</source>
        <translation>Dejarla</translation>
    </message>
    <message numerus="yes">
        <source>Leaves in %n second(s)</source>
        <translation>
            <numerusform>Sale en %n segundo</numerusform>
            <numerusform>Sale en %n segundos</numerusform>
        </translation>
    </message>
    <message>
        <source>Leaving now</source>
        <translation>Saliendo ahora</translation>
    </message>
    <message>
        <source>Left out, as its annotators decided ({what}).</source>
        <translation>Excluido, como decidieron sus anotadores ({what}).</translation>
    </message>
    <message>
        <source>Left out, as marked by the annotators</source>
        <translation>Excluido, según lo marcado por los anotadores</translation>
    </message>
    <message>
        <source>Let it be sent</source>
        <translation>Dejar que se envíe</translation>
    </message>
    <message>
        <source>Let it go on</source>
        <translation>Dejarla seguir</translation>
    </message>
    <message>
        <source>Loading</source>
        <translation>Cargando</translation>
    </message>
    <message>
        <source>Longest passage</source>
        <translation>Pasaje más largo</translation>
    </message>
    <message>
        <source>Look at these twice</source>
        <translation>Mire esto con atención</translation>
    </message>
    <message>
        <source>Look twice: somebody with this adapter might learn something about your notes.</source>
        <translation>Mírelo con atención: alguien con este adaptador podría averiguar algo sobre sus notas.</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Pérdida</translation>
    </message>
    <message>
        <source>Loss (lower is better)</source>
        <translation>Pérdida (mejor cuanto más baja)</translation>
    </message>
    <message>
        <source>Loss is after the last round, on the validation notes of all sites; lower is better.</source>
        <translation>La pérdida es tras la última ronda, en las notas de validación de todos los centros; cuanto más baja, mejor.</translation>
    </message>
    <message>
        <source>Loss on shared notes</source>
        <translation>Pérdida en notas compartidas</translation>
    </message>
    <message>
        <source>MAP</source>
        <translation>MAP</translation>
    </message>
    <message>
        <source>MB moved</source>
        <translation>MB transferidos</translation>
    </message>
    <message>
        <source>Mark as reviewed</source>
        <translation>Marcar como revisado</translation>
    </message>
    <message>
        <source>Masked with</source>
        <translation>Enmascarado con</translation>
    </message>
    <message>
        <source>Mean of tasks</source>
        <translation>Media de las tareas</translation>
    </message>
    <message>
        <source>Meaning of the signature</source>
        <translation>Significado de la firma</translation>
    </message>
    <message>
        <source>Measure</source>
        <translation>Medida</translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s).</source>
        <translation>
            <numerusform>Medido en %n nota de validación.</numerusform>
            <numerusform>Medido en %n notas de validación.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Measured on %n validation note(s): so small a difference may be chance.</source>
        <translation>
            <numerusform>Medido en %n nota de validación: una diferencia tan pequeña puede ser casualidad.</numerusform>
            <numerusform>Medido en %n notas de validación: una diferencia tan pequeña puede ser casualidad.</numerusform>
        </translation>
    </message>
    <message>
        <source>Measured on {notes} in round {round}.</source>
        <translation>Medido en {notes} en la ronda {round}.</translation>
    </message>
    <message>
        <source>Measured on {notes}, which were never used for training.</source>
        <translation>Medido en {notes}, que ningún entrenamiento ha visto.</translation>
    </message>
    <message>
        <source>Measured on {notes}.</source>
        <translation>Medido en {notes}.</translation>
    </message>
    <message>
        <source>Measuring what has changed</source>
        <translation>Midiendo qué ha cambiado</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>Memoria</translation>
    </message>
    <message>
        <source>Memory, MiB</source>
        <translation>Memoria, MiB</translation>
    </message>
    <message>
        <source>Mentions in several parts: {count}.</source>
        <translation>Menciones en varias partes: {count}.</translation>
    </message>
    <message>
        <source>Mentions inside another: {count}.</source>
        <translation>Menciones dentro de otra: {count}.</translation>
    </message>
    <message>
        <source>Mentions marked more than once, taken once: {count} ({what}).</source>
        <translation>Menciones marcadas más de una vez, tomadas una sola vez: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions of nothing but spaces, left out: {count} ({what}).</source>
        <translation>Menciones formadas solo por espacios, excluidas: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions per note: half have up to / nine in ten up to</source>
        <translation>Menciones por nota: la mitad, hasta / nueve de cada diez, hasta</translation>
    </message>
    <message>
        <source>Mentions that partly overlap another: {count}.</source>
        <translation>Menciones que se solapan en parte con otra: {count}.</translation>
    </message>
    <message>
        <source>Mentions with spaces at the ends, which were cut off: {count} ({what}).</source>
        <translation>Menciones a las que se quitaron los espacios de los extremos: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions with wrong offsets, which were found nearby by their words: {count} ({what}).</source>
        <translation>Menciones con posiciones erróneas, encontradas cerca por sus palabras: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions without any characters, left out: {count} ({what}).</source>
        <translation>Menciones sin ningún carácter, excluidas: {count} ({what}).</translation>
    </message>
    <message>
        <source>Mentions written in another form than in the text, with letters composed otherwise: {count} ({what}). The text&apos;s own characters are taken.</source>
        <translation>Menciones escritas de otra forma que en el texto, con las letras compuestas de otro modo: {count} ({what}). Se toman los caracteres del texto.</translation>
    </message>
    <message>
        <source>Message with a wrong signature refused</source>
        <translation>Mensaje con firma errónea rechazado</translation>
    </message>
    <message>
        <source>Method</source>
        <translation>Método</translation>
    </message>
    <message>
        <source>Missed</source>
        <translation>Fuera de plazo</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>Modelo</translation>
    </message>
    <message>
        <source>Model drift</source>
        <translation>Deriva del modelo</translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation>Carpeta del modelo</translation>
    </message>
    <message>
        <source>Modifiers</source>
        <translation>Modificadores</translation>
    </message>
    <message>
        <source>Modifiers F1</source>
        <translation>F1 de modificadores</translation>
    </message>
    <message>
        <source>Modifiers and relations by type</source>
        <translation>Modificadores y relaciones por tipo</translation>
    </message>
    <message>
        <source>Modifiers of these</source>
        <translation>Modificadores de estas</translation>
    </message>
    <message>
        <source>Module</source>
        <translation>Módulo</translation>
    </message>
    <message>
        <source>Moment</source>
        <translation>Momento</translation>
    </message>
    <message>
        <source>Monday</source>
        <translation>lunes</translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation>Seguimiento</translation>
    </message>
    <message>
        <source>More than the sites that are expected: no round could close.</source>
        <translation>Más que los centros previstos: ninguna ronda podría cerrarse.</translation>
    </message>
    <message>
        <source>Most frequent codes</source>
        <translation>Códigos más frecuentes</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>Nombre</translation>
    </message>
    <message>
        <source>Name of the federation</source>
        <translation>Nombre de la federación</translation>
    </message>
    <message>
        <source>New sites</source>
        <translation>Centros nuevos</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>Siguiente</translation>
    </message>
    <message>
        <source>Next try in {time}.</source>
        <translation>Próximo intento en {time}.</translation>
    </message>
    <message>
        <source>No</source>
        <translation>No</translation>
    </message>
    <message>
        <source>No better on {notes}</source>
        <translation>No mejora en {notes}</translation>
    </message>
    <message>
        <source>No code is certain enough.</source>
        <translation>Ningún código es lo bastante seguro.</translation>
    </message>
    <message>
        <source>No code matches this note.</source>
        <translation>Ningún código se acerca a esta nota.</translation>
    </message>
    <message>
        <source>No connection to the coordinator</source>
        <translation>Sin conexión con el coordinador</translation>
    </message>
    <message>
        <source>No decision in time</source>
        <translation>Sin decisión a tiempo</translation>
    </message>
    <message>
        <source>No difference beyond chance between {adapter} and the base model.</source>
        <translation>Ninguna diferencia más allá del azar entre {adapter} y el modelo base.</translation>
    </message>
    <message>
        <source>No entities found before you stopped it.</source>
        <translation>No se encontró ninguna entidad antes de que usted lo detuviera.</translation>
    </message>
    <message>
        <source>No entities found so far.</source>
        <translation>Ninguna entidad encontrada hasta ahora.</translation>
    </message>
    <message>
        <source>No entities found.</source>
        <translation>No se encontró ninguna entidad.</translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation>Todavía no hay ninguna federación</translation>
    </message>
    <message>
        <source>No long passage of your notes came out word for word because of this round.</source>
        <translation>Ningún pasaje largo de sus notas salió palabra por palabra a causa de esta ronda.</translation>
    </message>
    <message>
        <source>No longer look after it</source>
        <translation>Dejar de gestionarla</translation>
    </message>
    <message>
        <source>No longer look after {federation}?</source>
        <translation>¿Dejar de gestionar {federation}?</translation>
    </message>
    <message>
        <source>No modifiers found.</source>
        <translation>No se encontró ningún modificador.</translation>
    </message>
    <message>
        <source>No modifiers: they are looked for around entities, and none was found.</source>
        <translation>Sin modificadores: se buscan alrededor de las entidades, y no se encontró ninguna.</translation>
    </message>
    <message>
        <source>No native speaker has checked the texts in German, French and Spanish yet.</source>
        <translation>Los textos en alemán, francés y español aún no los ha revisado ninguna persona nativa.</translation>
    </message>
    <message>
        <source>No page has all of these words. These have some:</source>
        <translation>Ninguna página contiene todas estas palabras. Estas contienen algunas:</translation>
    </message>
    <message>
        <source>No round begins or closes until it is resumed. No deadline passes.</source>
        <translation>Ninguna ronda empieza ni se cierra hasta que se reanude. No vence ningún plazo.</translation>
    </message>
    <message>
        <source>No round begins or closes, and no deadline passes, until you resume it. Sites finish what they have begun, and what they send still counts.</source>
        <translation>Ninguna ronda empieza ni se cierra, y no vence ningún plazo, hasta que la reanude. Los centros terminan lo que se les pidió, y lo que envíen sigue contando.</translation>
    </message>
    <message>
        <source>No round begins or ends until the host lets it go on; there is nothing to do here.</source>
        <translation>Ninguna ronda empieza ni termina hasta que el anfitrión la reanude; aquí no hay nada que hacer.</translation>
    </message>
    <message>
        <source>No summary.</source>
        <translation>Sin resumen.</translation>
    </message>
    <message>
        <source>Nobody can join with it any longer. You can invite this site again.</source>
        <translation>Nadie puede unirse ya con ella. Puede invitar de nuevo a este centro.</translation>
    </message>
    <message>
        <source>Nobody has marked this record as reviewed yet.</source>
        <translation>Nadie ha marcado todavía este registro como revisado.</translation>
    </message>
    <message>
        <source>None yet.</source>
        <translation>Todavía ninguna.</translation>
    </message>
    <message>
        <source>Norm</source>
        <translation>Norma</translation>
    </message>
    <message>
        <source>Not asked for.</source>
        <translation>No se pidió.</translation>
    </message>
    <message>
        <source>Not asked in this round</source>
        <translation>No convocado en esta ronda</translation>
    </message>
    <message>
        <source>Not evaluated</source>
        <translation>Sin evaluar</translation>
    </message>
    <message>
        <source>Not everything could be measured. What was tried found nothing; that is no proof.</source>
        <translation>No se pudo medir todo. Lo que se probó no encontró nada; eso no es una demostración.</translation>
    </message>
    <message>
        <source>Not fitted</source>
        <translation>Sin ajustar</translation>
    </message>
    <message>
        <source>Not joined</source>
        <translation>Sin unirse</translation>
    </message>
    <message>
        <source>Not measured for this update. An adapter can reveal something about the notes that it was trained on.</source>
        <translation>No se midió en esta actualización. Un adaptador puede revelar algo sobre las notas con las que se entrenó.</translation>
    </message>
    <message>
        <source>Not read, because the other side could not be read.</source>
        <translation>No se leyó, porque el otro lado no se pudo leer.</translation>
    </message>
    <message>
        <source>Not scored on {notes}</source>
        <translation>Sin puntuar en {notes}</translation>
    </message>
    <message>
        <source>Not used: it is longer than {what}.</source>
        <translation>No se usa: supera {what}.</translation>
    </message>
    <message>
        <source>Not used: the text is empty.</source>
        <translation>No se usa: el texto está vacío.</translation>
    </message>
    <message>
        <source>Not used: {what} has the same id.</source>
        <translation>No se usa: su id es también el id de {what}.</translation>
    </message>
    <message>
        <source>Not used: {what}.</source>
        <translation>No se usa: {what}.</translation>
    </message>
    <message>
        <source>Not yet comparable with {earlier}: no round of both has been scored</source>
        <translation>Aún no se puede comparar con {earlier}: ninguna ronda se ha evaluado en ambas</translation>
    </message>
    <message>
        <source>Note text</source>
        <translation>Texto de la nota</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Notas</translation>
    </message>
    <message>
        <source>Notes by number of characters</source>
        <translation>Notas por número de caracteres</translation>
    </message>
    <message>
        <source>Notes by number of tokens, the pieces of words that a model reads</source>
        <translation>Notas por número de tokens, los fragmentos de palabra que lee un modelo</translation>
    </message>
    <message>
        <source>Notes of one patient stay together.</source>
        <translation>Las notas de un mismo paciente van juntas.</translation>
    </message>
    <message>
        <source>Notes that are nearly the same stay together.</source>
        <translation>Las notas casi iguales van juntas.</translation>
    </message>
    <message>
        <source>Nothing answers there now. You can join anyway; this site keeps trying.</source>
        <translation>Ahora no responde nada allí. Puede unirse de todos modos; este centro lo sigue intentando.</translation>
    </message>
    <message>
        <source>Nothing found for “{words}”. Did you mean “{instead}”?</source>
        <translation>No se ha encontrado nada para «{words}». ¿Quería decir «{instead}»?</translation>
    </message>
    <message>
        <source>Nothing found for “{words}”: try another word.</source>
        <translation>No se ha encontrado nada para «{words}»: pruebe con otra palabra.</translation>
    </message>
    <message>
        <source>Nothing has changed in this round.</source>
        <translation>Nada ha cambiado en esta ronda.</translation>
    </message>
    <message>
        <source>Nothing is lost.</source>
        <translation>No se pierde nada.</translation>
    </message>
    <message>
        <source>Nothing is trained before you agree. Below you see who asks, and what would be shared.</source>
        <translation>No se entrena nada antes de que usted acepte. Abajo ve quién lo pide y qué se compartiría.</translation>
    </message>
    <message numerus="yes">
        <source>Nothing is wrong, but %n thing(s) should be looked at.</source>
        <translation>
            <numerusform>Nada está mal, pero conviene revisar %n punto.</numerusform>
            <numerusform>Nada está mal, pero conviene revisar %n puntos.</numerusform>
        </translation>
    </message>
    <message>
        <source>Nothing leaves it; you decide afterwards.</source>
        <translation>Nada sale de él; usted decide después.</translation>
    </message>
    <message>
        <source>Nothing leaves this computer.</source>
        <translation>Nada sale de este ordenador.</translation>
    </message>
    <message>
        <source>Nothing of it has left this computer.</source>
        <translation>Nada de ello ha salido de este ordenador.</translation>
    </message>
    <message>
        <source>Nothing of this update has left.</source>
        <translation>Nada de esta actualización ha salido.</translation>
    </message>
    <message>
        <source>Nothing to show yet</source>
        <translation>Todavía no hay nada que mostrar</translation>
    </message>
    <message>
        <source>Nothing was gained: the common model is as good on your notes.</source>
        <translation>No se ha ganado nada: el modelo común es igual de bueno en sus notas.</translation>
    </message>
    <message>
        <source>Nothing was kept.</source>
        <translation>No se conservó nada.</translation>
    </message>
    <message>
        <source>Nothing was lost. You can continue where you stopped.</source>
        <translation>No se perdió nada. Puede continuar donde lo dejó.</translation>
    </message>
    <message>
        <source>Notifications</source>
        <translation>Notificaciones</translation>
    </message>
    <message>
        <source>Now ({site}): {work}.</source>
        <translation>Ahora ({site}): {work}.</translation>
    </message>
    <message>
        <source>Now: {work}.</source>
        <translation>Ahora: {work}.</translation>
    </message>
    <message>
        <source>Numbers, names, addresses</source>
        <translation>Números, nombres, direcciones</translation>
    </message>
    <message>
        <source>Of its report only these numbers may leave: {names}.</source>
        <translation>De su informe solo pueden salir estos números: {names}.</translation>
    </message>
    <message>
        <source>Of the full model</source>
        <translation>Del modelo completo</translation>
    </message>
    <message>
        <source>Offline</source>
        <translation>Sin conexión</translation>
    </message>
    <message>
        <source>Old updates deleted</source>
        <translation>Actualizaciones antiguas borradas</translation>
    </message>
    <message numerus="yes">
        <source>On %n note(s); in brackets the 95 % interval of each score.</source>
        <translation>
            <numerusform>En %n nota; entre paréntesis, el intervalo del 95&#xa0;% de cada puntuación.</numerusform>
            <numerusform>En %n notas; entre paréntesis, el intervalo del 95&#xa0;% de cada puntuación.</numerusform>
        </translation>
    </message>
    <message>
        <source>Once a round&apos;s training is done, this shows how much each layer has changed.</source>
        <translation>Cuando termine el entrenamiento de una ronda, aquí se verá cuánto ha cambiado cada capa.</translation>
    </message>
    <message>
        <source>One of the notes cannot be used.</source>
        <translation>Una de las notas no se puede usar.</translation>
    </message>
    <message>
        <source>One of the notes does not have the format of a note.</source>
        <translation>Una de las notas no tiene formato de nota.</translation>
    </message>
    <message>
        <source>Only sites on this computer can join, at {address}.</source>
        <translation>Solo pueden unirse centros de este ordenador, en {address}.</translation>
    </message>
    <message>
        <source>Only these people may approve: {names}.</source>
        <translation>Solo pueden aprobar estas personas: {names}.</translation>
    </message>
    <message>
        <source>Only this computer, to try it out</source>
        <translation>Solo este ordenador, para probar</translation>
    </message>
    <message>
        <source>Open the program to see why.</source>
        <translation>Abra el programa para ver por qué.</translation>
    </message>
    <message>
        <source>Other computers cannot find this one by that address. Give its name in the network.</source>
        <translation>Otros ordenadores no encuentran este así. Indique su nombre en la red.</translation>
    </message>
    <message>
        <source>Other computers, encrypted</source>
        <translation>Otros ordenadores, cifrado</translation>
    </message>
    <message>
        <source>Other computers, over the network (encrypted)</source>
        <translation>Otros ordenadores, por la red (cifrado)</translation>
    </message>
    <message>
        <source>Other side</source>
        <translation>Otra parte</translation>
    </message>
    <message>
        <source>Other sites</source>
        <translation>Otros centros</translation>
    </message>
    <message>
        <source>Otherwise: {does}.</source>
        <translation>En los demás casos: {does}.</translation>
    </message>
    <message>
        <source>Packages that the program uses</source>
        <translation>Paquetes en los que se apoya el programa</translation>
    </message>
    <message>
        <source>Parts of one document stay together.</source>
        <translation>Las partes de un mismo documento van juntas.</translation>
    </message>
    <message>
        <source>Passes over the notes</source>
        <translation>Pasadas por las notas</translation>
    </message>
    <message>
        <source>Patients</source>
        <translation>Pacientes</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Pausar</translation>
    </message>
    <message>
        <source>Pause the federation?</source>
        <translation>¿Pausar la federación?</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>En pausa</translation>
    </message>
    <message>
        <source>Paused at the site</source>
        <translation>En pausa en el centro</translation>
    </message>
    <message>
        <source>Paused by a host</source>
        <translation>En pausa por un anfitrión</translation>
    </message>
    <message>
        <source>Performance drift</source>
        <translation>Deriva de rendimiento</translation>
    </message>
    <message>
        <source>Perhaps better on {notes}, not sure</source>
        <translation>Quizá mejor en {notes}, sin seguridad</translation>
    </message>
    <message>
        <source>Perhaps better than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then</source>
        <translation>Quizá mejor que {earlier} tras el mismo número de rondas ({rounds}), sin seguridad: {now} de cada 100, frente a {then} entonces</translation>
    </message>
    <message>
        <source>Perhaps worse on {notes}, not sure</source>
        <translation>Quizá peor en {notes}, sin seguridad</translation>
    </message>
    <message>
        <source>Perhaps worse than {earlier} after as many rounds ({rounds}), not sure: {now} of 100, {then} then</source>
        <translation>Quizá peor que {earlier} tras el mismo número de rondas ({rounds}), sin seguridad: {now} de cada 100, frente a {then} entonces</translation>
    </message>
    <message>
        <source>Phone the host, at a number that you already have, and read them out. The host sees the same words.</source>
        <translation>Llame al anfitrión a un número que usted ya tenga y léaselas. El anfitrión ve las mismas palabras.</translation>
    </message>
    <message>
        <source>Plain text</source>
        <translation>Texto sin formato</translation>
    </message>
    <message>
        <source>Plain text is learned without labels and goes with nothing else: choose it alone.</source>
        <translation>El texto sin formato se aprende sin etiquetas y no va con nada más: elíjalo solo.</translation>
    </message>
    <message>
        <source>Plan received</source>
        <translation>Plan recibido</translation>
    </message>
    <message>
        <source>Planted records</source>
        <translation>Datos señuelo</translation>
    </message>
    <message>
        <source>Points, of 100</source>
        <translation>Puntos de 100</translation>
    </message>
    <message>
        <source>Points, of 100, on {notes}.</source>
        <translation>Puntos de 100, en {notes}.</translation>
    </message>
    <message>
        <source>Policy of this site</source>
        <translation>Política de este centro</translation>
    </message>
    <message>
        <source>Policy rule applied</source>
        <translation>Regla de la política aplicada</translation>
    </message>
    <message>
        <source>Port</source>
        <translation>Puerto</translation>
    </message>
    <message>
        <source>Port in the invitations</source>
        <translation>Puerto en las invitaciones</translation>
    </message>
    <message>
        <source>Preparing</source>
        <translation>Preparando</translation>
    </message>
    <message>
        <source>Privacy budget (epsilon)</source>
        <translation>Presupuesto de privacidad (épsilon)</translation>
    </message>
    <message>
        <source>Probes: {name} is {value}.</source>
        <translation>Sondeos: {name} es {value}.</translation>
    </message>
    <message>
        <source>Processor {share}, {memory}</source>
        <translation>Procesador {share}, {memory}</translation>
    </message>
    <message>
        <source>Production</source>
        <translation>Producción</translation>
    </message>
    <message>
        <source>Production: its results are meant to be used</source>
        <translation>Producción: el resultado está destinado a usarse</translation>
    </message>
    <message>
        <source>Program</source>
        <translation>Programa</translation>
    </message>
    <message>
        <source>Protected to some degree by differential privacy.</source>
        <translation>Protegido en cierta medida por la privacidad diferencial.</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>Proxy</translation>
    </message>
    <message>
        <source>Public notes</source>
        <translation>Notas públicas</translation>
    </message>
    <message>
        <source>Qt {qt} and PySide6: GNU LGPL 3, as shared libraries that you may replace; their sources are at
{sources}</source>
        <translation>Qt {qt} y PySide6: GNU LGPL 3, como bibliotecas compartidas que usted puede sustituir; su código fuente está en
{sources}</translation>
    </message>
    <message>
        <source>Questions</source>
        <translation>Preguntas</translation>
    </message>
    <message>
        <source>Questions, right</source>
        <translation>Preguntas, aciertos</translation>
    </message>
    <message>
        <source>ROUGE on average</source>
        <translation>ROUGE en promedio</translation>
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
        <translation>Rango</translation>
    </message>
    <message>
        <source>Rank of the adapter</source>
        <translation>Rango del adaptador</translation>
    </message>
    <message>
        <source>Rank {rank:.0f} at this site</source>
        <translation>Rango {rank:.0f} en este centro</translation>
    </message>
    <message>
        <source>Rank, mean / last</source>
        <translation>Rango, media / último</translation>
    </message>
    <message>
        <source>Rank: not known yet</source>
        <translation>Rango: todavía se desconoce</translation>
    </message>
    <message>
        <source>Read after the other side.</source>
        <translation>Se lee después del otro lado.</translation>
    </message>
    <message>
        <source>Read as plain text, like the other files of its folder, though it looks like {what}. If it is, put it into a folder of its own.</source>
        <translation>Se lee como texto sin formato, igual que los demás archivos de su carpeta, aunque parece {what}. Si lo es, póngalo en una carpeta aparte.</translation>
    </message>
    <message>
        <source>Reading</source>
        <translation>Leyendo</translation>
    </message>
    <message>
        <source>Reading part {part} of {parts}</source>
        <translation>Leyendo la parte {part} de {parts}</translation>
    </message>
    <message>
        <source>Reading the notes and the model…</source>
        <translation>Leyendo las notas y el modelo…</translation>
    </message>
    <message>
        <source>Reading your notes and loading the base model.</source>
        <translation>Leyendo sus notas y cargando el modelo base.</translation>
    </message>
    <message>
        <source>Ready for your decision</source>
        <translation>Listo para su decisión</translation>
    </message>
    <message>
        <source>Reason</source>
        <translation>Motivo</translation>
    </message>
    <message>
        <source>Recall@10</source>
        <translation>Exhaustividad@10</translation>
    </message>
    <message>
        <source>Recall@10, category</source>
        <translation>Exhaustividad@10, categoría</translation>
    </message>
    <message>
        <source>Receipt</source>
        <translation>Acuse de recibo</translation>
    </message>
    <message>
        <source>Receipt checked</source>
        <translation>Acuse de recibo comprobado</translation>
    </message>
    <message>
        <source>Received</source>
        <translation>Recibido</translation>
    </message>
    <message>
        <source>Record begun by a newer version of the program</source>
        <translation>Registro iniciado por una versión más reciente del programa</translation>
    </message>
    <message>
        <source>Record reviewed</source>
        <translation>Registro revisado</translation>
    </message>
    <message>
        <source>Refused</source>
        <translation>Rechazado</translation>
    </message>
    <message>
        <source>Refused by the coordinator</source>
        <translation>Rechazado por el coordinador</translation>
    </message>
    <message>
        <source>Rejection</source>
        <translation>Rechazo</translation>
    </message>
    <message>
        <source>Relations left out, because one of their mentions is missing: {count}.</source>
        <translation>Relaciones excluidas porque falta una mención en su extremo: {count}.</translation>
    </message>
    <message>
        <source>Relations listed more than once, taken once: {count}.</source>
        <translation>Relaciones que figuran más de una vez, tomadas una sola vez: {count}.</translation>
    </message>
    <message>
        <source>Release for sending</source>
        <translation>Autorización del envío</translation>
    </message>
    <message>
        <source>Removal</source>
        <translation>Baja</translation>
    </message>
    <message>
        <source>Remove the site</source>
        <translation>Dar de baja el centro</translation>
    </message>
    <message>
        <source>Remove {site}?</source>
        <translation>¿Dar de baja a {site}?</translation>
    </message>
    <message>
        <source>Removed</source>
        <translation>Dado de baja</translation>
    </message>
    <message>
        <source>Request to join refused</source>
        <translation>Solicitud de unión rechazada</translation>
    </message>
    <message>
        <source>Research demonstration, not for diagnosis or treatment</source>
        <translation>Demostración de investigación; no apta para el diagnóstico ni el tratamiento</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>Resultado</translation>
    </message>
    <message>
        <source>Resume it, and its sites are asked once more.</source>
        <translation>Reanúdela y se convocará otra vez a sus centros.</translation>
    </message>
    <message>
        <source>Review</source>
        <translation>Revisión</translation>
    </message>
    <message>
        <source>Review and decide</source>
        <translation>Revisar y decidir</translation>
    </message>
    <message>
        <source>Reviewed up to entry {number} by {name}, {day}.</source>
        <translation>Revisado hasta la entrada {number} por {name}, {day}.</translation>
    </message>
    <message>
        <source>Right answers</source>
        <translation>Respuestas correctas</translation>
    </message>
    <message>
        <source>Riverside federation</source>
        <translation>Riverside federation</translation>
    </message>
    <message>
        <source>Round</source>
        <translation>Ronda</translation>
    </message>
    <message>
        <source>Round closed</source>
        <translation>Ronda cerrada</translation>
    </message>
    <message>
        <source>Round closed without it</source>
        <translation>Ronda cerrada sin envío</translation>
    </message>
    <message>
        <source>Round declined</source>
        <translation>Ronda declinada</translation>
    </message>
    <message>
        <source>Round opened</source>
        <translation>Ronda abierta</translation>
    </message>
    <message>
        <source>Round {round}</source>
        <translation>Ronda {round}</translation>
    </message>
    <message>
        <source>Round {round} has stopped: too few sites have sent</source>
        <translation>La ronda {round} se ha detenido: han enviado muy pocos centros</translation>
    </message>
    <message>
        <source>Round {round} is finished</source>
        <translation>La ronda {round} ha terminado</translation>
    </message>
    <message>
        <source>Round {round} of {rounds}</source>
        <translation>Ronda {round} de {rounds}</translation>
    </message>
    <message>
        <source>Round {round} of {rounds} needs {quorum} updates.</source>
        <translation>La ronda {round} de {rounds} necesita {quorum} actualizaciones.</translation>
    </message>
    <message>
        <source>Round {round}.</source>
        <translation>Ronda {round}.</translation>
    </message>
    <message>
        <source>Rounds</source>
        <translation>Rondas</translation>
    </message>
    <message>
        <source>Rounds whose updates are kept</source>
        <translation>Rondas cuyas actualizaciones se guardan</translation>
    </message>
    <message>
        <source>Rule {number}, &quot;{name}&quot;: {when}{does}.</source>
        <translation>Regla {number}, «{name}»: {when}{does}.</translation>
    </message>
    <message>
        <source>Run the demonstration or choose an adapter.</source>
        <translation>Inicie la demostración o elija un adaptador.</translation>
    </message>
    <message>
        <source>Saturday</source>
        <translation>sábado</translation>
    </message>
    <message>
        <source>Saved as {path}, signed by this site&apos;s key {key}. Whoever gets it checks it with: fedmed-desktop --verify-audit {path}</source>
        <translation>Guardado como {path}, firmado con la clave {key} de este centro. Quien lo reciba lo comprueba con: fedmed-desktop --verify-audit {path}</translation>
    </message>
    <message>
        <source>Saved as {path}, without a signature: this site has no key yet.</source>
        <translation>Guardado como {path}, sin firma: este centro todavía no tiene clave.</translation>
    </message>
    <message>
        <source>Saved as {path}. A table proves nothing by itself; for that, export the signed JSON.</source>
        <translation>Guardado como {path}. Una tabla no demuestra nada por sí sola; para eso, exporte el JSON firmado.</translation>
    </message>
    <message>
        <source>Saved as {path}. It learned from patients&apos; notes: keep it where such a model may be.</source>
        <translation>Guardado como {path}. Ha aprendido de notas de pacientes: guárdelo donde pueda estar un modelo así.</translation>
    </message>
    <message>
        <source>Saved as {path}. Paper proves nothing by itself; for that, export the signed JSON.</source>
        <translation>Guardado como {path}. El papel no demuestra nada por sí solo; para eso, exporte el JSON firmado.</translation>
    </message>
    <message>
        <source>Saved {time}. Research software: this makes no medical claim.</source>
        <translation>Guardado: {time}. Software de investigación: no hace ninguna afirmación médica.</translation>
    </message>
    <message>
        <source>Saving…</source>
        <translation>Guardando…</translation>
    </message>
    <message>
        <source>Score</source>
        <translation>Puntuación</translation>
    </message>
    <message>
        <source>Score on your notes</source>
        <translation>Puntuación en sus notas</translation>
    </message>
    <message>
        <source>Scores</source>
        <translation>Puntuaciones</translation>
    </message>
    <message>
        <source>Scores are no better</source>
        <translation>Las puntuaciones no son mejores</translation>
    </message>
    <message>
        <source>Scores became worse</source>
        <translation>Las puntuaciones empeoraron</translation>
    </message>
    <message>
        <source>Scores improved</source>
        <translation>Las puntuaciones mejoraron</translation>
    </message>
    <message>
        <source>Scores of the final adapter</source>
        <translation>Puntuaciones del adaptador final</translation>
    </message>
    <message>
        <source>Scoring</source>
        <translation>Puntuando</translation>
    </message>
    <message>
        <source>Scoring after training</source>
        <translation>Puntuando después del entrenamiento</translation>
    </message>
    <message>
        <source>Scoring before training</source>
        <translation>Puntuando antes del entrenamiento</translation>
    </message>
    <message>
        <source>Scoring the final adapter</source>
        <translation>Puntuando el adaptador final</translation>
    </message>
    <message>
        <source>Secret key</source>
        <translation>Clave secreta</translation>
    </message>
    <message>
        <source>Secret key made</source>
        <translation>Clave secreta creada</translation>
    </message>
    <message>
        <source>Secret key missing</source>
        <translation>Falta la clave secreta</translation>
    </message>
    <message>
        <source>Secret key moved to another place</source>
        <translation>Clave secreta trasladada a otro lugar</translation>
    </message>
    <message>
        <source>Secret key replaced</source>
        <translation>Clave secreta sustituida</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Ver una demostración</translation>
    </message>
    <message>
        <source>See it again</source>
        <translation>Volver a verla</translation>
    </message>
    <message>
        <source>See what a model finds in a note on this computer. Nothing is sent anywhere.</source>
        <translation>Vea lo que un modelo encuentra en una nota en este ordenador. No se envía nada a ningún sitio.</translation>
    </message>
    <message>
        <source>Semantic drift</source>
        <translation>Deriva semántica</translation>
    </message>
    <message>
        <source>Sending</source>
        <translation>Enviando</translation>
    </message>
    <message>
        <source>Sending soon</source>
        <translation>Envío inminente</translation>
    </message>
    <message>
        <source>Sending started</source>
        <translation>Envío iniciado</translation>
    </message>
    <message>
        <source>Sending the adapter</source>
        <translation>Enviando el adaptador</translation>
    </message>
    <message>
        <source>Sends nothing in this round</source>
        <translation>No envía nada en esta ronda</translation>
    </message>
    <message>
        <source>Sent</source>
        <translation>Enviado</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Ajustes</translation>
    </message>
    <message>
        <source>Share from your notes</source>
        <translation>Parte de sus notas</translation>
    </message>
    <message>
        <source>Share of the change</source>
        <translation>Proporción del cambio</translation>
    </message>
    <message>
        <source>Show me</source>
        <translation>Ver la demostración</translation>
    </message>
    <message>
        <source>Site</source>
        <translation>Centro</translation>
    </message>
    <message>
        <source>Site closed in the program</source>
        <translation>Centro cerrado en el programa</translation>
    </message>
    <message>
        <source>Site confirmed</source>
        <translation>Centro confirmado</translation>
    </message>
    <message>
        <source>Site invited</source>
        <translation>Centro invitado</translation>
    </message>
    <message>
        <source>Site opened in the program</source>
        <translation>Centro abierto en el programa</translation>
    </message>
    <message>
        <source>Site removed</source>
        <translation>Centro dado de baja</translation>
    </message>
    <message>
        <source>Site&apos;s key replaced</source>
        <translation>Clave de un centro sustituida</translation>
    </message>
    <message>
        <source>Sites add noise as they train. With few notes, little is learned.</source>
        <translation>Los centros añaden ruido al entrenar. Con pocas notas se aprende poco.</translation>
    </message>
    <message>
        <source>Sites are waiting for it. Nothing is lost: once it runs again, everything continues where it stopped.</source>
        <translation>Los centros la esperan. No se pierde nada: cuando vuelva a funcionar, todo sigue donde estaba.</translation>
    </message>
    <message>
        <source>Sites asked in each round</source>
        <translation>Centros a los que pregunta cada ronda</translation>
    </message>
    <message>
        <source>Sites can join while this computer is on. They find it by the address in their invitations.</source>
        <translation>Los centros pueden unirse mientras este ordenador esté encendido. Lo encuentran por la dirección de su invitación.</translation>
    </message>
    <message>
        <source>Sites connect to it; their invitations name it.</source>
        <translation>Los centros la llaman: figura en sus invitaciones.</translation>
    </message>
    <message>
        <source>Sites expected</source>
        <translation>Centros previstos</translation>
    </message>
    <message>
        <source>Sites that a round needs</source>
        <translation>Centros que necesita una ronda</translation>
    </message>
    <message>
        <source>Sites that are expected</source>
        <translation>Centros esperados</translation>
    </message>
    <message>
        <source>Sites wait until you serve it again. Nothing is lost: everything goes on where it was, and what they are training goes on at the sites.</source>
        <translation>Los centros esperan hasta que la reanude. No se pierde nada: todo sigue donde estaba, y lo que están entrenando continúa en los centros.</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>Tamaño</translation>
    </message>
    <message>
        <source>So far neither is ahead.</source>
        <translation>Por ahora ninguno va por delante.</translation>
    </message>
    <message>
        <source>So far {ahead} is ahead; too few comparisons to tell.</source>
        <translation>Por ahora {ahead} va por delante; hay muy pocas comparaciones para saberlo.</translation>
    </message>
    <message>
        <source>So far {ahead} is better, fairly sure.</source>
        <translation>Por ahora {ahead} es mejor, con bastante seguridad.</translation>
    </message>
    <message>
        <source>Some of the notes do not have the format of a note.</source>
        <translation>Algunas de las notas no tienen formato de nota.</translation>
    </message>
    <message>
        <source>Something needs me, such as a fault</source>
        <translation>Hace falta que intervenga, p. ej. por un fallo</translation>
    </message>
    <message>
        <source>Specialties</source>
        <translation>Especialidades</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Velocidad</translation>
    </message>
    <message>
        <source>State</source>
        <translation>Estado</translation>
    </message>
    <message>
        <source>Stay</source>
        <translation>No cerrar</translation>
    </message>
    <message>
        <source>Stay in the tray</source>
        <translation>Seguir en la bandeja</translation>
    </message>
    <message>
        <source>Stay its host</source>
        <translation>Seguir siendo anfitrión</translation>
    </message>
    <message>
        <source>Stay open</source>
        <translation>Dejar abierto</translation>
    </message>
    <message>
        <source>Step</source>
        <translation>Paso</translation>
    </message>
    <message>
        <source>Step 1 of 3: loading what training needs, and reading the example notes of three sites.</source>
        <translation>Paso 1 de 3: cargando lo que necesita el entrenamiento y leyendo las notas de ejemplo de tres centros.</translation>
    </message>
    <message>
        <source>Step 2 of 3: the coordinator starts, and the sites connect to it.</source>
        <translation>Paso 2 de 3: el coordinador se inicia y los centros se conectan a él.</translation>
    </message>
    <message>
        <source>Step 3 of 3: loading the small model and preparing the notes for it.</source>
        <translation>Paso 3 de 3: se carga el modelo pequeño y se preparan las notas para él.</translation>
    </message>
    <message>
        <source>Step {done} of {total}</source>
        <translation>Paso {done} de {total}</translation>
    </message>
    <message>
        <source>Stop and close</source>
        <translation>Detener y cerrar</translation>
    </message>
    <message>
        <source>Stop it and begin</source>
        <translation>Detenerlo y empezar</translation>
    </message>
    <message>
        <source>Stop serving</source>
        <translation>Detener</translation>
    </message>
    <message>
        <source>Stop serving the federation?</source>
        <translation>¿Dejar de alojar la federación?</translation>
    </message>
    <message>
        <source>Stop serving, and close</source>
        <translation>Detener y cerrar</translation>
    </message>
    <message>
        <source>Stop taking part</source>
        <translation>Dejar de participar</translation>
    </message>
    <message>
        <source>Stop taking part?</source>
        <translation>¿Dejar de participar?</translation>
    </message>
    <message>
        <source>Stopped</source>
        <translation>Detenido</translation>
    </message>
    <message>
        <source>Strongly protected by differential privacy.</source>
        <translation>Muy protegido por la privacidad diferencial.</translation>
    </message>
    <message>
        <source>Summaries</source>
        <translation>Resúmenes</translation>
    </message>
    <message>
        <source>Summary ROUGE</source>
        <translation>ROUGE de los resúmenes</translation>
    </message>
    <message>
        <source>Sunday</source>
        <translation>domingo</translation>
    </message>
    <message>
        <source>Support bundle</source>
        <translation>Paquete de soporte</translation>
    </message>
    <message>
        <source>Tags that do not fit the tag before them: {count} ({what}). A mention begins where an inside tag continues none, and ends where its end tag is missing.</source>
        <translation>Etiquetas que no encajan con la anterior: {count} ({what}). Una mención empieza donde una etiqueta interior no continúa ninguna, y termina donde falta su etiqueta final.</translation>
    </message>
    <message>
        <source>Take back</source>
        <translation>Retirar</translation>
    </message>
    <message>
        <source>Take back the invitation of {site}?</source>
        <translation>¿Retirar la invitación de {site}?</translation>
    </message>
    <message>
        <source>Take it back</source>
        <translation>Retirarla</translation>
    </message>
    <message>
        <source>Take part</source>
        <translation>Participar</translation>
    </message>
    <message>
        <source>Take part at once</source>
        <translation>Participan enseguida</translation>
    </message>
    <message>
        <source>Take part in {federation}?</source>
        <translation>¿Participar en {federation}?</translation>
    </message>
    <message>
        <source>Taken back</source>
        <translation>Retirado</translation>
    </message>
    <message>
        <source>Taken back. Nothing of this update has left.</source>
        <translation>Retirado. Nada de esta actualización ha salido.</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>Tarea</translation>
    </message>
    <message>
        <source>Tasks</source>
        <translation>Tareas</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>Prueba</translation>
    </message>
    <message>
        <source>Test loss</source>
        <translation>Pérdida de prueba</translation>
    </message>
    <message>
        <source>Test run</source>
        <translation>Ejecución de prueba</translation>
    </message>
    <message>
        <source>Test: its results are not for use</source>
        <translation>Prueba: el resultado no cuenta</translation>
    </message>
    <message>
        <source>That needs counts of specialties or types, which this federation does not share.</source>
        <translation>Para eso hacen falta recuentos de especialidades o tipos, y esta federación no los comparte.</translation>
    </message>
    <message>
        <source>That needs marked entities; your training notes have none.</source>
        <translation>Para eso hacen falta entidades marcadas; sus notas de entrenamiento no tienen ninguna.</translation>
    </message>
    <message>
        <source>That needs training notes with a specialty; none of yours has one.</source>
        <translation>Para eso hacen falta notas de entrenamiento con especialidad; ninguna de las suyas la tiene.</translation>
    </message>
    <message>
        <source>The adapter stays here. Waiting for the next round.</source>
        <translation>El adaptador se queda aquí. A la espera de la próxima ronda.</translation>
    </message>
    <message>
        <source>The adapter stays on this computer.</source>
        <translation>El adaptador se queda en este ordenador.</translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on example notes of {site}, so that you see what changes.</source>
        <translation>El adaptador recibido se puntúa con notas de ejemplo de {site}, para que usted vea qué cambia.</translation>
    </message>
    <message>
        <source>The adapter that arrived is scored on some of your notes, so that you can see what changes.</source>
        <translation>El adaptador recibido se puntúa con algunas de sus notas, para que usted pueda ver qué cambia.</translation>
    </message>
    <message>
        <source>The adapter that this round starts from is on its way.</source>
        <translation>El adaptador del que parte esta ronda está en camino.</translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n example note(s) of {site} is waiting.</source>
        <translation>
            <numerusform>El adaptador entrenado con %n nota de ejemplo de {site} está pendiente.</numerusform>
            <numerusform>El adaptador entrenado con %n notas de ejemplo de {site} está pendiente.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The adapter trained on %n of your notes is waiting.</source>
        <translation>
            <numerusform>El adaptador entrenado con %n de sus notas está pendiente.</numerusform>
            <numerusform>El adaptador entrenado con %n de sus notas está pendiente.</numerusform>
        </translation>
    </message>
    <message>
        <source>The attack tried here can often tell whether a note was trained on.</source>
        <translation>El ataque que se probó aquí suele poder distinguir si se entrenó con una nota.</translation>
    </message>
    <message>
        <source>The attack tried here can sometimes tell whether a note was trained on.</source>
        <translation>El ataque que se probó aquí puede distinguir a veces si se entrenó con una nota.</translation>
    </message>
    <message>
        <source>The attack tried here could hardly tell the notes trained on from others of yours.</source>
        <translation>El ataque que se probó aquí apenas pudo distinguir las notas de entrenamiento de otras suyas.</translation>
    </message>
    <message>
        <source>The base model has not learned these types.</source>
        <translation>El modelo base no ha aprendido estos tipos.</translation>
    </message>
    <message>
        <source>The base model was scored.</source>
        <translation>Se puntuó el modelo base.</translation>
    </message>
    <message>
        <source>The chain of its entries is whole.</source>
        <translation>La cadena de sus entradas está íntegra.</translation>
    </message>
    <message numerus="yes">
        <source>The change is spread over all %n layers.</source>
        <translation>
            <numerusform>El cambio está en la única capa.</numerusform>
            <numerusform>El cambio se reparte entre las %n capas.</numerusform>
        </translation>
    </message>
    <message>
        <source>The charts show the first {count} methods only.</source>
        <translation>Los gráficos muestran solo los {count} primeros métodos.</translation>
    </message>
    <message>
        <source>The common model goes on learning from your training notes, on this computer, in three passes over them. As much of that is kept as is best on your validation notes. Nothing is sent.</source>
        <translation>El modelo común sigue aprendiendo de sus notas de entrenamiento, en este ordenador, en tres pasadas. De eso se conserva lo que mejor resulta en sus notas de validación. No se envía nada.</translation>
    </message>
    <message>
        <source>The coordinator</source>
        <translation>El coordinador</translation>
    </message>
    <message>
        <source>The coordinator can run on without this window: rounds go on, and you find it again at the next start. It runs until you stop it, log out, or switch the computer off.</source>
        <translation>El coordinador puede seguir sin esta ventana: las rondas continúan y lo encontrará de nuevo en el próximo inicio. Funciona hasta que lo detenga, cierre la sesión o apague el ordenador.</translation>
    </message>
    <message>
        <source>The coordinator cannot see this update alone: only the sum of the masked adapters of these sites can be opened. All numbers leave as they are.</source>
        <translation>El coordinador no puede ver esta actualización por separado: solo se puede abrir la suma de los adaptadores enmascarados de estos centros. Todos los números salen tal como son.</translation>
    </message>
    <message>
        <source>The coordinator combines the sites&apos; adapters into the next one.</source>
        <translation>El coordinador combina los adaptadores de los centros en el siguiente.</translation>
    </message>
    <message>
        <source>The coordinator does not answer yet; you can decide once it does.</source>
        <translation>El coordinador todavía no responde; podrá decidir cuando lo haga.</translation>
    </message>
    <message>
        <source>The coordinator does not answer. You can decide once it does.</source>
        <translation>El coordinador no responde. Podrá decidir cuando lo haga.</translation>
    </message>
    <message>
        <source>The coordinator does not let you in</source>
        <translation>El coordinador no le deja entrar</translation>
    </message>
    <message>
        <source>The coordinator fetches exactly what you approved.</source>
        <translation>El coordinador recoge exactamente lo que usted aprobó.</translation>
    </message>
    <message>
        <source>The coordinator has exactly what you approved. Receipt: {hash}.</source>
        <translation>El coordinador tiene exactamente lo que usted aprobó. Acuse de recibo: {hash}.</translation>
    </message>
    <message>
        <source>The coordinator has it; the receipt is kept. Waiting for others.</source>
        <translation>El coordinador lo tiene; el acuse de recibo está guardado. A la espera de los demás.</translation>
    </message>
    <message>
        <source>The coordinator has stopped by itself</source>
        <translation>El coordinador se ha detenido por sí solo</translation>
    </message>
    <message>
        <source>The coordinator has to wait</source>
        <translation>El coordinador tiene que esperar</translation>
    </message>
    <message>
        <source>The coordinator is finishing its work…</source>
        <translation>El coordinador termina lo que está haciendo…</translation>
    </message>
    <message>
        <source>The coordinator is not asking for this one now. You can decide once it does.</source>
        <translation>El coordinador no lo pide ahora. Podrá decidir cuando lo pida.</translation>
    </message>
    <message>
        <source>The coordinator is starting…</source>
        <translation>El coordinador se inicia…</translation>
    </message>
    <message>
        <source>The coordinator refused the update</source>
        <translation>El coordinador rechazó la actualización</translation>
    </message>
    <message>
        <source>The coordinator will know this site by this name.</source>
        <translation>El coordinador conocerá este centro por este nombre.</translation>
    </message>
    <message>
        <source>The demonstration was stopped</source>
        <translation>La demostración se detuvo</translation>
    </message>
    <message>
        <source>The encoding is not marked and was taken to be {what}. Check a few accented letters.</source>
        <translation>La codificación no está indicada y se tomó como {what}. Compruebe algunas letras con tilde.</translation>
    </message>
    <message>
        <source>The federation finishes with the scores that have come.</source>
        <translation>La federación termina con las puntuaciones recibidas.</translation>
    </message>
    <message>
        <source>The federation goes on without you. To look after it again you need another invitation as a host.</source>
        <translation>La federación sigue sin usted. Para gestionarla de nuevo necesita otra invitación como anfitrión.</translation>
    </message>
    <message>
        <source>The federation has finished</source>
        <translation>La federación ha terminado</translation>
    </message>
    <message>
        <source>The federation has no adapter yet. After its first round it is shown here, beside the base. Until then you can choose one from a folder.</source>
        <translation>La federación todavía no tiene adaptador. Después de su primera ronda se muestra aquí, junto al modelo base. Hasta entonces puede elegir uno de una carpeta.</translation>
    </message>
    <message>
        <source>The federation has stopped</source>
        <translation>La federación se ha detenido</translation>
    </message>
    <message>
        <source>The federation is not served now</source>
        <translation>La federación no está en servicio ahora</translation>
    </message>
    <message>
        <source>The federation is served at {address}</source>
        <translation>La federación está en servicio en {address}</translation>
    </message>
    <message>
        <source>The federation is served on this computer</source>
        <translation>La federación está en servicio en este ordenador</translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on example test notes of {site}.</source>
        <translation>El adaptador final de la federación se puntúa con notas de prueba de ejemplo de {site}.</translation>
    </message>
    <message>
        <source>The federation&apos;s final adapter is scored on your test notes.</source>
        <translation>El adaptador final de la federación se puntúa con sus notas de prueba.</translation>
    </message>
    <message>
        <source>The federation&apos;s share is the mean over the sites of round {round}, this one included, weighted by their numbers of notes. A little is added to every count, so that none is zero.</source>
        <translation>La proporción de la federación es la media de los centros de la ronda {round}, incluido este, cada uno según su número de notas. A cada recuento se le suma un poco, para que ninguno sea cero.</translation>
    </message>
    <message>
        <source>The file is not read: no format fits it, or its folder was taken to be of another format.</source>
        <translation>El archivo no se lee: ningún formato le corresponde, o se tomó su carpeta por otro formato.</translation>
    </message>
    <message>
        <source>The final adapter is being scored on test notes that were never used for training.</source>
        <translation>El adaptador final se está puntuando con notas de prueba que ningún entrenamiento ha visto.</translation>
    </message>
    <message>
        <source>The final adapter, on {notes} that were never used for training.</source>
        <translation>El adaptador final, en {notes} que ningún entrenamiento ha visto.</translation>
    </message>
    <message>
        <source>The first round begins once all have joined, or at {time} with those that have.</source>
        <translation>La primera ronda empieza cuando estén todos o, con los que estén, en este momento: {time}.</translation>
    </message>
    <message>
        <source>The first round begins once this many have joined.</source>
        <translation>La primera ronda empieza cuando se han unido tantos.</translation>
    </message>
    <message>
        <source>The first round begins once {expected} sites have joined.</source>
        <translation>La primera ronda empieza cuando se hayan unido {expected} centros.</translation>
    </message>
    <message>
        <source>The first round begins with the sites that have joined. Others can join later, for the next one.</source>
        <translation>La primera ronda empieza con los centros que se han unido. Otros pueden unirse después, para la siguiente.</translation>
    </message>
    <message>
        <source>The first round opens once all of them are.</source>
        <translation>La primera ronda se abre cuando lo estén todos.</translation>
    </message>
    <message>
        <source>The fitting stops. What it has learned from your notes so far is not kept.</source>
        <translation>El ajuste se detiene. Lo que ha aprendido de sus notas hasta ahora no se conserva.</translation>
    </message>
    <message>
        <source>The host has paused the federation</source>
        <translation>El anfitrión ha puesto la federación en pausa</translation>
    </message>
    <message>
        <source>The host of the federation gives you one: a line, a file, or a picture. Nothing is joined yet.</source>
        <translation>El anfitrión de la federación le da una: una línea, un archivo o una imagen. Todavía no se une a nada.</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached</source>
        <translation>No se puede acceder al ordenador del anfitrión</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached. You can decide now; it is sent once it can be.</source>
        <translation>No se puede acceder al ordenador del anfitrión. Puede decidir ahora; se envía cuando se pueda acceder.</translation>
    </message>
    <message>
        <source>The host&apos;s computer cannot be reached: the update is sent once it can, and nobody can take it back then.</source>
        <translation>No se puede acceder al ordenador del anfitrión: la actualización se envía en cuanto se pueda, y entonces nadie puede retirarla.</translation>
    </message>
    <message>
        <source>The invitation is complete. Nothing has been sent yet.</source>
        <translation>La invitación está íntegra. Todavía no se ha enviado nada.</translation>
    </message>
    <message>
        <source>The key {what} is not read.</source>
        <translation>La clave {what} no se lee.</translation>
    </message>
    <message>
        <source>The last round is done; the final adapter is being scored</source>
        <translation>La última ronda ha terminado; se está puntuando el adaptador final</translation>
    </message>
    <message>
        <source>The mean of tasks is the mean of these, after the last round: {names}.</source>
        <translation>La media de las tareas es la media de estas, tras la última ronda: {names}.</translation>
    </message>
    <message>
        <source>The model is being loaded.</source>
        <translation>Se está cargando el modelo.</translation>
    </message>
    <message>
        <source>The model learns from example notes of {site} on this computer.</source>
        <translation>El modelo aprende de notas de ejemplo de {site} en este ordenador.</translation>
    </message>
    <message>
        <source>The model learns from your notes on this computer.</source>
        <translation>El modelo aprende de sus notas en este ordenador.</translation>
    </message>
    <message>
        <source>The model that was fitted before is still here.</source>
        <translation>El modelo ajustado antes sigue aquí.</translation>
    </message>
    <message>
        <source>The note is read without annotations, because there is no {what} beside it.</source>
        <translation>La nota se lee sin anotaciones, porque no hay ningún {what} junto a ella.</translation>
    </message>
    <message>
        <source>The notes are in a format that this program does not read.</source>
        <translation>Las notas están en un formato que este programa no lee.</translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split is proposed below.</source>
        <translation>Las notas no están divididas en entrenamiento, validación y prueba. Abajo se propone una división.</translation>
    </message>
    <message>
        <source>The notes in this folder cannot be read.</source>
        <translation>Las notas de esta carpeta no se pueden leer.</translation>
    </message>
    <message>
        <source>The offsets count UTF-16 units and were turned into characters.</source>
        <translation>Las posiciones cuentan unidades UTF-16 y se convirtieron en caracteres.</translation>
    </message>
    <message>
        <source>The offsets count a Windows line end as one character and were corrected.</source>
        <translation>Las posiciones cuentan un fin de línea de Windows como un carácter y se corrigieron.</translation>
    </message>
    <message>
        <source>The offsets count bytes of UTF-8 and were turned into characters.</source>
        <translation>Las posiciones cuentan bytes de UTF-8 y se convirtieron en caracteres.</translation>
    </message>
    <message>
        <source>The ones in your notes have become much easier to guess.</source>
        <translation>Los de sus notas se han vuelto mucho más fáciles de adivinar.</translation>
    </message>
    <message>
        <source>The ones in your notes have become somewhat easier to guess.</source>
        <translation>Los de sus notas se han vuelto algo más fáciles de adivinar.</translation>
    </message>
    <message>
        <source>The ones in your notes have hardly become easier to guess than invented ones.</source>
        <translation>Los de sus notas apenas se han vuelto más fáciles de adivinar que los inventados.</translation>
    </message>
    <message>
        <source>The person who hosts the federation</source>
        <translation>La persona anfitriona de la federación</translation>
    </message>
    <message>
        <source>The person who runs the coordinator compares six words with you by phone, then lets you in.</source>
        <translation>Quien gestiona el coordinador compara con usted seis palabras por teléfono, y luego le deja entrar.</translation>
    </message>
    <message>
        <source>The program</source>
        <translation>El programa</translation>
    </message>
    <message>
        <source>The program can stay in the tray, beside the clock: rounds go on, and you are told when a decision waits. If it closes, this site does not answer until you open it again. Your choice applies from now on; Settings can change it.</source>
        <translation>El programa puede seguir en la bandeja, junto al reloj: las rondas continúan y se le avisa cuando hay una decisión pendiente. Si se cierra, este centro no responde hasta que usted vuelva a abrirlo. Su elección vale a partir de ahora; puede cambiarla en los ajustes.</translation>
    </message>
    <message>
        <source>The program has a fault</source>
        <translation>El programa tiene un fallo</translation>
    </message>
    <message>
        <source>The program is closing. The update will be here at the next start.</source>
        <translation>El programa se está cerrando. La actualización seguirá aquí la próxima vez que lo abra.</translation>
    </message>
    <message>
        <source>The program keeps trying.</source>
        <translation>El programa sigue intentándolo.</translation>
    </message>
    <message>
        <source>The question could not be asked: the note and the question are too long.</source>
        <translation>No se pudo hacer la pregunta: la nota y la pregunta son demasiado largas.</translation>
    </message>
    <message>
        <source>The rank is at most {most}.</source>
        <translation>El rango es {most} como máximo.</translation>
    </message>
    <message>
        <source>The record is broken.</source>
        <translation>El registro está dañado.</translation>
    </message>
    <message>
        <source>The record is broken: entry {number} cannot be trusted.</source>
        <translation>El registro está dañado: la entrada {number} no es fiable.</translation>
    </message>
    <message numerus="yes">
        <source>The record is whole: %n entry(s), none changed, lost or inserted.</source>
        <translation>
            <numerusform>El registro está íntegro: %n entrada, ni modificada, ni perdida, ni insertada.</numerusform>
            <numerusform>El registro está íntegro: %n entradas, ninguna modificada, perdida o insertada.</numerusform>
        </translation>
    </message>
    <message>
        <source>The report stays on this computer.</source>
        <translation>El informe se queda en este ordenador.</translation>
    </message>
    <message>
        <source>The round closed before it was sent.</source>
        <translation>La ronda se cerró antes de que se enviara.</translation>
    </message>
    <message>
        <source>The round closed without it</source>
        <translation>La ronda se cerró sin la actualización</translation>
    </message>
    <message>
        <source>The round closes at {time}; if nobody has decided by then, it closes without this site.</source>
        <translation>Cierre de la ronda: {time}; si nadie ha decidido para entonces, se cierra sin este centro.</translation>
    </message>
    <message>
        <source>The round is closing</source>
        <translation>La ronda se está cerrando</translation>
    </message>
    <message>
        <source>The round no longer waits for anyone.</source>
        <translation>La ronda no espera a nadie más.</translation>
    </message>
    <message>
        <source>The same is true of {cells} and {count:,} more.</source>
        <translation>Lo mismo ocurre con {cells} y {count:,} más.</translation>
    </message>
    <message>
        <source>The same is true of {cells}.</source>
        <translation>Lo mismo ocurre con {cells}.</translation>
    </message>
    <message>
        <source>The scores are of the model with it.</source>
        <translation>Las puntuaciones son del modelo con él.</translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n example note(s) of {site} are waiting.</source>
        <translation>
            <numerusform>Las puntuaciones del adaptador final en %n nota de ejemplo de {site} están pendientes.</numerusform>
            <numerusform>Las puntuaciones del adaptador final en %n notas de ejemplo de {site} están pendientes.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The scores of the final adapter on %n of your notes are waiting.</source>
        <translation>
            <numerusform>Las puntuaciones del adaptador final en %n de sus notas están pendientes.</numerusform>
            <numerusform>Las puntuaciones del adaptador final en %n de sus notas están pendientes.</numerusform>
        </translation>
    </message>
    <message>
        <source>The sheet {what} is not read: only the first one with a column of texts is.</source>
        <translation>La hoja {what} no se lee: solo se lee la primera que tiene una columna de textos.</translation>
    </message>
    <message>
        <source>The sites&apos; adapters are combined.</source>
        <translation>Los adaptadores de los centros están combinados.</translation>
    </message>
    <message>
        <source>The time for it was too short.</source>
        <translation>El tiempo disponible era demasiado corto.</translation>
    </message>
    <message>
        <source>The trained adapter is scored on example notes of {site}.</source>
        <translation>El adaptador entrenado se puntúa con notas de ejemplo de {site}.</translation>
    </message>
    <message>
        <source>The trained adapter is scored on some of your notes.</source>
        <translation>El adaptador entrenado se puntúa con algunas de sus notas.</translation>
    </message>
    <message numerus="yes">
        <source>The two records match: all %n hash(es) that one side holds of the other were found.</source>
        <translation>
            <numerusform>Los dos registros concuerdan: se encontró el único hash que un lado guarda del otro.</numerusform>
            <numerusform>Los dos registros concuerdan: se encontraron los %n hashes que un lado guarda del otro.</numerusform>
        </translation>
    </message>
    <message>
        <source>The updates of round {round} are being combined</source>
        <translation>Se están combinando las actualizaciones de la ronda {round}</translation>
    </message>
    <message>
        <source>The whole change is {times:.1f} times as large as in round {round}.</source>
        <translation>En conjunto es {times:.1f} veces mayor que en la ronda {round}.</translation>
    </message>
    <message>
        <source>The whole demonstration takes about {minutes} minutes; your first decision comes after about {first}.</source>
        <translation>La demostración completa dura unos {minutes} minutos; su primera decisión llega a los {first} aproximadamente.</translation>
    </message>
    <message>
        <source>The whole update is {times:.1f} times as large as your last one.</source>
        <translation>En conjunto es {times:.1f} veces mayor que la última suya.</translation>
    </message>
    <message>
        <source>The work has stopped. Continue it on the page Rounds; then you can decide.</source>
        <translation>El trabajo se ha detenido. Continúelo en la página Rondas; después podrá decidir.</translation>
    </message>
    <message>
        <source>The work stopped. What was recorded is kept.</source>
        <translation>El trabajo se detuvo. Lo que se registró se conserva.</translation>
    </message>
    <message>
        <source>Then it closes, if enough sites have sent.</source>
        <translation>Entonces se cierra, si han enviado suficientes centros.</translation>
    </message>
    <message>
        <source>Then the host confirms this site. If the words differ, somebody is intercepting the connection.</source>
        <translation>Después, el anfitrión confirma este centro. Si las palabras son distintas, alguien está interceptando la conexión.</translation>
    </message>
    <message>
        <source>There is a problem</source>
        <translation>Hay un problema</translation>
    </message>
    <message>
        <source>There is no policy: what leaves is decided by the person who is asked, or by --approve-rule.</source>
        <translation>No hay política: lo que sale lo decide la persona a la que se pregunta, o --approve-rule.</translation>
    </message>
    <message>
        <source>There is none yet. It is made when this site joins a federation.</source>
        <translation>Todavía no hay ninguna. Se crea cuando este centro se une a una federación.</translation>
    </message>
    <message>
        <source>There is nothing to do here until it opens.</source>
        <translation>Aquí no hay nada que hacer hasta que se abra.</translation>
    </message>
    <message>
        <source>These notes can be used as they are.</source>
        <translation>Estas notas se pueden usar como están.</translation>
    </message>
    <message>
        <source>These notes can be used. Look at the points below first.</source>
        <translation>Estas notas se pueden usar. Mire antes los puntos de abajo.</translation>
    </message>
    <message>
        <source>These notes cannot be used yet.</source>
        <translation>Estas notas todavía no se pueden usar.</translation>
    </message>
    <message>
        <source>These notes have no split yet. {kept} Rows that cannot be used are left out.</source>
        <translation>Estas notas todavía no tienen división. {kept} Las filas que no se pueden usar se excluyen.</translation>
    </message>
    <message>
        <source>These settings</source>
        <translation>Estos ajustes</translation>
    </message>
    <message>
        <source>This adapter reveals something about your notes. Keep it here unless that would not matter.</source>
        <translation>Este adaptador revela algo sobre sus notas. Consérvelo aquí, salvo que eso no importe.</translation>
    </message>
    <message>
        <source>This becomes an entry of the record too, with your name and the time. It cannot be taken out again.</source>
        <translation>Esto también pasa a ser una entrada del registro, con su nombre y la hora. No se puede volver a quitar.</translation>
    </message>
    <message>
        <source>This cannot be undone.</source>
        <translation>No se puede deshacer.</translation>
    </message>
    <message>
        <source>This cannot continue</source>
        <translation>Esto no puede continuar</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>Este ordenador</translation>
    </message>
    <message>
        <source>This computer could not be kept awake: its system offers no way to ask for that. Set it so that it does not sleep by itself.</source>
        <translation>No se ha podido mantener despierto este ordenador: su sistema no ofrece forma de pedirlo. Configúrelo para que no se suspenda solo.</translation>
    </message>
    <message>
        <source>This computer is busy; the note is read when that is done.</source>
        <translation>Este ordenador está ocupado; la nota se lee cuando acabe.</translation>
    </message>
    <message>
        <source>This computer is finishing something else first.</source>
        <translation>Este ordenador termina antes otra cosa.</translation>
    </message>
    <message>
        <source>This computer is in no network now. Connect it, or try the federation out on this computer alone.</source>
        <translation>Este ordenador no está en ninguna red. Conéctelo, o pruebe la federación solo en este ordenador.</translation>
    </message>
    <message>
        <source>This computer knows itself by other addresses: {known}. This one is fine if your network leads it here.</source>
        <translation>Este ordenador no se conoce por ese nombre. Es correcto si su red lo dirige aquí: {known}.</translation>
    </message>
    <message>
        <source>This computer only</source>
        <translation>Solo este ordenador</translation>
    </message>
    <message>
        <source>This computer serves {federation}. Stop that first, to be a host of another federation.</source>
        <translation>Este ordenador aloja {federation}. Deténgala primero, para ser anfitrión de otra federación.</translation>
    </message>
    <message>
        <source>This computer stays awake while it trains.</source>
        <translation>Este ordenador sigue despierto mientras entrena.</translation>
    </message>
    <message>
        <source>This covers the adapter alone: the numbers beside it are exact.</source>
        <translation>Esto se refiere solo al adaptador: los números que lo acompañan son exactos.</translation>
    </message>
    <message>
        <source>This entry is not as it was written, or the one before it is missing. What it says may be false.</source>
        <translation>Esta entrada no está como se escribió, o falta la anterior. Lo que dice puede ser falso.</translation>
    </message>
    <message>
        <source>This file is not a types map.</source>
        <translation>Este archivo no es una tabla de tipos.</translation>
    </message>
    <message>
        <source>This is everything in it: no notes, no keys, no passwords, no names of files. It is saved on this computer, and is sent nowhere.</source>
        <translation>Esto es todo lo que contiene: ni notas, ni claves, ni contraseñas, ni nombres de archivos. Se guarda en este ordenador y no se envía a ninguna parte.</translation>
    </message>
    <message>
        <source>This is not a folder of notes, or some of them are missing.</source>
        <translation>Esto no es una carpeta de notas, o faltan algunas.</translation>
    </message>
    <message>
        <source>This is not the folder of a language model.</source>
        <translation>Esto no es la carpeta de un modelo de lenguaje.</translation>
    </message>
    <message>
        <source>This language model is damaged.</source>
        <translation>Este modelo de lenguaje está dañado.</translation>
    </message>
    <message>
        <source>This method measures updates on notes that all sites may read. None may be a patient&apos;s.</source>
        <translation>Este método mide las actualizaciones con notas que todos los centros pueden leer. Ninguna puede ser de un paciente.</translation>
    </message>
    <message>
        <source>This method shares numbers that noise does not protect. Choose another one, or leave this empty.</source>
        <translation>Este método comparte números que el ruido no protege. Elija otro o deje esto vacío.</translation>
    </message>
    <message>
        <source>This round failed here</source>
        <translation>Esta ronda falló aquí</translation>
    </message>
    <message>
        <source>This side could not be read.</source>
        <translation>Este lado no se pudo leer.</translation>
    </message>
    <message>
        <source>This site has already used it, and needs no new one.</source>
        <translation>Ya se usó; este centro no necesita otra.</translation>
    </message>
    <message>
        <source>This site is connected, and takes part as soon as the host confirms it. Nothing has left this computer.</source>
        <translation>Este centro está conectado y participa en cuanto el anfitrión lo confirme. Nada ha salido de este ordenador.</translation>
    </message>
    <message>
        <source>This site no longer answers the coordinator. What it holds stays on this computer, and it can join again with the same folder.</source>
        <translation>Este centro ya no responde al coordinador. Lo que contiene se queda en este ordenador, y puede volver a unirse con la misma carpeta.</translation>
    </message>
    <message>
        <source>This site takes part again in the next round.</source>
        <translation>Este centro vuelve a participar en la próxima ronda.</translation>
    </message>
    <message>
        <source>This site tries again by itself.</source>
        <translation>Este centro lo vuelve a intentar por sí solo.</translation>
    </message>
    <message>
        <source>This site&apos;s model, {when}</source>
        <translation>Modelo de este centro, {when}</translation>
    </message>
    <message>
        <source>This site&apos;s name there</source>
        <translation>El nombre de este centro allí</translation>
    </message>
    <message>
        <source>This site&apos;s notes are much like the federation&apos;s.</source>
        <translation>Las notas de este centro se parecen mucho a las de la federación.</translation>
    </message>
    <message>
        <source>This takes some seconds.</source>
        <translation>Esto tarda unos segundos.</translation>
    </message>
    <message>
        <source>This update is {times:.1f} times as large as your last one. An error in the notes or a learning rate that is too high can cause this.</source>
        <translation>Esta actualización es {times:.1f} veces mayor que la última suya. La causa puede ser un error en las notas o una tasa de aprendizaje demasiado alta.</translation>
    </message>
    <message>
        <source>Three invented sites train together on this computer, with bundled notes. You approve for one of them.</source>
        <translation>Tres centros inventados entrenan juntos en este ordenador, con notas incluidas en el programa. Usted aprueba en nombre de uno de ellos.</translation>
    </message>
    <message>
        <source>Three sites learn together on this computer, from example notes that come with the program. You decide about the updates of one of them. It takes about {minutes} minutes in all; your first decision comes after about {first}.</source>
        <translation>Tres centros aprenden juntos en este ordenador, con notas de ejemplo que vienen con el programa. Usted decide sobre las actualizaciones de uno de ellos. En total dura unos {minutes} minutos; su primera decisión llega a los {first} aproximadamente.</translation>
    </message>
    <message>
        <source>Thursday</source>
        <translation>jueves</translation>
    </message>
    <message>
        <source>Tick what you have seen above; then it can be sent.</source>
        <translation>Marque lo que ha visto arriba; después se podrá enviar.</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Hora</translation>
    </message>
    <message>
        <source>To</source>
        <translation>Destino</translation>
    </message>
    <message>
        <source>To let it back in, invite it again.</source>
        <translation>Para dejarlo entrar otra vez, invítelo de nuevo.</translation>
    </message>
    <message>
        <source>To score rounds with</source>
        <translation>Para puntuar las rondas</translation>
    </message>
    <message>
        <source>To test with</source>
        <translation>Para la prueba</translation>
    </message>
    <message>
        <source>To train on</source>
        <translation>Para entrenar</translation>
    </message>
    <message>
        <source>Tokens/s</source>
        <translation>Tokens/s</translation>
    </message>
    <message>
        <source>Too few notes were trained on or held out.</source>
        <translation>Muy pocas notas de entrenamiento o reservadas.</translation>
    </message>
    <message>
        <source>Too few sites sent an adapter in this round. Its host can resume it; there is nothing to do here.</source>
        <translation>Muy pocos centros enviaron un adaptador en esta ronda. Su anfitrión puede reanudarla; aquí no hay nada que hacer.</translation>
    </message>
    <message>
        <source>Too few to tell.</source>
        <translation>Muy pocas para saberlo.</translation>
    </message>
    <message>
        <source>Train</source>
        <translation>Entrenar</translation>
    </message>
    <message>
        <source>Train longer, for better scores (about {minutes} minutes)</source>
        <translation>Entrenar más tiempo, para obtener mejores puntuaciones (unos {minutes} minutos)</translation>
    </message>
    <message>
        <source>Trained on public texts</source>
        <translation>Entrenado con textos públicos</translation>
    </message>
    <message>
        <source>Training</source>
        <translation>Entrenamiento</translation>
    </message>
    <message>
        <source>Training ended</source>
        <translation>Entrenamiento terminado</translation>
    </message>
    <message>
        <source>Training has just begun</source>
        <translation>El entrenamiento acaba de empezar</translation>
    </message>
    <message>
        <source>Training has stopped at its current step. If the round closes meanwhile, it closes without you.</source>
        <translation>El entrenamiento se ha detenido en su paso actual. Si entretanto se cierra la ronda, se cierra sin usted.</translation>
    </message>
    <message>
        <source>Training is drawn here as soon as it starts on {notes}.</source>
        <translation>Aquí se dibuja la marcha del entrenamiento en cuanto empiece con {notes}.</translation>
    </message>
    <message>
        <source>Training is drawn here once this computer takes part in a federation.</source>
        <translation>Aquí se dibuja la marcha del entrenamiento cuando este ordenador participa en una federación.</translation>
    </message>
    <message>
        <source>Training is going well: errors are falling</source>
        <translation>El entrenamiento va bien: los errores disminuyen</translation>
    </message>
    <message>
        <source>Training is steady: errors stay about the same</source>
        <translation>El entrenamiento avanza con regularidad: los errores siguen más o menos igual</translation>
    </message>
    <message>
        <source>Training loss</source>
        <translation>Pérdida de entrenamiento</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: it had {before} of 100 points before, and has {after} now.</source>
        <translation>El entrenamiento lo empeoró en {notes}: antes tenía {before} de 100 puntos, y ahora tiene {after}.</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: of 100 it found {before} correctly before, and {after} after.</source>
        <translation>El entrenamiento lo empeoró en {notes}: de 100 encontraba bien {before} antes, y {after} después.</translation>
    </message>
    <message>
        <source>Training made it worse on {notes}: {tasks}.</source>
        <translation>El entrenamiento lo empeoró en {notes}: {tasks}.</translation>
    </message>
    <message>
        <source>Training needs a look: errors are rising</source>
        <translation>Conviene mirar el entrenamiento: los errores aumentan</translation>
    </message>
    <message>
        <source>Training needs a look: errors on notes kept aside are rising</source>
        <translation>Conviene mirar el entrenamiento: los errores en las notas reservadas aumentan</translation>
    </message>
    <message>
        <source>Training notes by specialty</source>
        <translation>Notas de entrenamiento por especialidad</translation>
    </message>
    <message>
        <source>Training on the processor takes all cores but one, so that the computer stays usable for other work. Where a GPU&apos;s memory is too small, training continues by itself with less at once.</source>
        <translation>El entrenamiento en el procesador usa todos los núcleos menos uno, para que el resto del ordenador siga siendo utilizable. Si la memoria de una GPU es demasiado pequeña, el entrenamiento continúa solo, con menos a la vez.</translation>
    </message>
    <message>
        <source>Training started</source>
        <translation>Entrenamiento iniciado</translation>
    </message>
    <message>
        <source>Training stops at its current step, is saved, and continues when you open the program again.</source>
        <translation>El entrenamiento se detiene en su paso actual, se guarda y continúa cuando usted vuelva a abrir el programa.</translation>
    </message>
    <message>
        <source>Try a model</source>
        <translation>Probar un modelo</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Probar</translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation>Probarlo con una nota</translation>
    </message>
    <message>
        <source>Tuesday</source>
        <translation>martes</translation>
    </message>
    <message>
        <source>Two different people must approve.</source>
        <translation>Deben aprobar dos personas distintas.</translation>
    </message>
    <message>
        <source>Types</source>
        <translation>Tipos</translation>
    </message>
    <message>
        <source>Types of entities</source>
        <translation>Tipos de entidades</translation>
    </message>
    <message>
        <source>Until then you can take it back.</source>
        <translation>Hasta entonces puede retirarla.</translation>
    </message>
    <message>
        <source>Update accepted</source>
        <translation>Actualización aceptada</translation>
    </message>
    <message>
        <source>Update flagged as unusual</source>
        <translation>Actualización señalada como inusual</translation>
    </message>
    <message>
        <source>Update norm</source>
        <translation>Norma de la actualización</translation>
    </message>
    <message>
        <source>Update refused</source>
        <translation>Actualización rechazada</translation>
    </message>
    <message>
        <source>Updates leave only at these times: {hours}.</source>
        <translation>Las actualizaciones solo salen a estas horas: {hours}.</translation>
    </message>
    <message>
        <source>Upload</source>
        <translation>Subir</translation>
    </message>
    <message>
        <source>Upload started</source>
        <translation>Subida iniciada</translation>
    </message>
    <message>
        <source>Uploading</source>
        <translation>Subiendo</translation>
    </message>
    <message>
        <source>Valid until {date}.</source>
        <translation>Válido hasta el {date}.</translation>
    </message>
    <message>
        <source>Validation loss</source>
        <translation>Pérdida de validación</translation>
    </message>
    <message>
        <source>Values cut off</source>
        <translation>Valores recortados</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Versión</translation>
    </message>
    <message>
        <source>Versions</source>
        <translation>Versiones</translation>
    </message>
    <message>
        <source>Wait for more sites</source>
        <translation>Esperar a más centros</translation>
    </message>
    <message>
        <source>Wait no longer for scores?</source>
        <translation>¿Dejar de esperar las puntuaciones?</translation>
    </message>
    <message>
        <source>Wait until you have compared six words</source>
        <translation>Esperan hasta que usted haya comparado seis palabras</translation>
    </message>
    <message>
        <source>Waiting</source>
        <translation>En espera</translation>
    </message>
    <message>
        <source>Waiting for its decision</source>
        <translation>Su personal decide</translation>
    </message>
    <message>
        <source>Waiting for its turn</source>
        <translation>A la espera de su turno</translation>
    </message>
    <message>
        <source>Waiting for others</source>
        <translation>A la espera de los demás</translation>
    </message>
    <message>
        <source>Waiting for sites</source>
        <translation>A la espera de los centros</translation>
    </message>
    <message>
        <source>Waiting for the coordinator; nothing has left yet. It can no longer be taken back.</source>
        <translation>A la espera del coordinador; todavía no ha salido nada. Ya no se puede retirar.</translation>
    </message>
    <message>
        <source>Waiting for the first site</source>
        <translation>Esperando al primer centro</translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation>A la espera del primer paso</translation>
    </message>
    <message>
        <source>Waiting for the host</source>
        <translation>A la espera del anfitrión</translation>
    </message>
    <message>
        <source>Waiting for the host to confirm this site</source>
        <translation>A la espera de que el anfitrión confirme este centro</translation>
    </message>
    <message>
        <source>Waiting for the next round</source>
        <translation>A la espera de la próxima ronda</translation>
    </message>
    <message>
        <source>Waiting for the round</source>
        <translation>Espera la ronda</translation>
    </message>
    <message>
        <source>Waiting for you to confirm it</source>
        <translation>Espera su confirmación</translation>
    </message>
    <message>
        <source>Waiting for your approval</source>
        <translation>A la espera de su aprobación</translation>
    </message>
    <message>
        <source>Waiting for your decision</source>
        <translation>A la espera de su decisión</translation>
    </message>
    <message>
        <source>Waiting to be confirmed</source>
        <translation>Esperando la confirmación</translation>
    </message>
    <message>
        <source>Waits until {time}</source>
        <translation>En espera hasta: {time}</translation>
    </message>
    <message>
        <source>Wednesday</source>
        <translation>miércoles</translation>
    </message>
    <message>
        <source>Welcome. What would you like to do?</source>
        <translation>Le damos la bienvenida. ¿Qué desea hacer?</translation>
    </message>
    <message>
        <source>What</source>
        <translation>Qué</translation>
    </message>
    <message>
        <source>What an adapter may reveal must be rated &quot;{light}&quot; or better.</source>
        <translation>Lo que puede revelar un adaptador debe valorarse como «{light}» o mejor.</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>Para qué</translation>
    </message>
    <message>
        <source>What has been done so far is kept.</source>
        <translation>Se conserva lo hecho hasta ahora.</translation>
    </message>
    <message>
        <source>What identifies it</source>
        <translation>Qué lo identifica</translation>
    </message>
    <message>
        <source>What is measured here is your adapter by itself. The sum can still reveal something about the notes.</source>
        <translation>Lo que se mide aquí es su adaptador por separado. La suma puede revelar algo sobre las notas de todos modos.</translation>
    </message>
    <message>
        <source>What it can train</source>
        <translation>Qué puede entrenar</translation>
    </message>
    <message>
        <source>What it has learned from your notes so far is not kept. You can start it again at any time.</source>
        <translation>Lo que ha aprendido de sus notas hasta ahora no se conserva. Puede empezar de nuevo cuando quiera.</translation>
    </message>
    <message>
        <source>What it has, and what that suffices for. Nothing is sent.</source>
        <translation>Qué tiene, y para qué basta. No se envía nada.</translation>
    </message>
    <message>
        <source>What it may reveal</source>
        <translation>Qué puede revelar</translation>
    </message>
    <message>
        <source>What it protects</source>
        <translation>Qué protege</translation>
    </message>
    <message>
        <source>What it shows</source>
        <translation>Qué muestra</translation>
    </message>
    <message>
        <source>What leaves</source>
        <translation>Qué sale</translation>
    </message>
    <message>
        <source>What rounding took from your earlier updates leaves with this one; what it takes now stays for the next.</source>
        <translation>Lo que el redondeo quitó de sus actualizaciones anteriores sale con esta; lo que quita ahora se queda para la siguiente.</translation>
    </message>
    <message>
        <source>What was tried here found nothing in this adapter. That is no proof that there is nothing.</source>
        <translation>Lo que se probó aquí no encontró nada en este adaptador. Eso no demuestra que no haya nada.</translation>
    </message>
    <message>
        <source>What you see below is from before the connection was lost.</source>
        <translation>Lo que ve abajo es de antes.</translation>
    </message>
    <message>
        <source>When</source>
        <translation>Cuándo</translation>
    </message>
    <message>
        <source>Where several files set the same limit, the strictest applies.</source>
        <translation>Donde varios archivos fijan el mismo límite, rige el más estricto.</translation>
    </message>
    <message>
        <source>Which notes were used</source>
        <translation>Qué notas se usaron</translation>
    </message>
    <message>
        <source>While this program is closed, nobody is notified.</source>
        <translation>A nadie se le avisa mientras este programa está cerrado.</translation>
    </message>
    <message>
        <source>Who</source>
        <translation>Quién</translation>
    </message>
    <message>
        <source>Who can reach it</source>
        <translation>Quién puede acceder</translation>
    </message>
    <message>
        <source>With an adapter, what it finds is shown here, beside the model.</source>
        <translation>Con un adaptador, aquí se muestra lo que encuentra, junto al modelo.</translation>
    </message>
    <message>
        <source>With one document or patient there are no intervals.</source>
        <translation>Con un solo documento o paciente no hay intervalos.</translation>
    </message>
    <message>
        <source>With one seed there is no interval: it is not known how much another seed would change.</source>
        <translation>Con una sola semilla no hay intervalo: no se sabe cuánto cambiaría otra semilla.</translation>
    </message>
    <message>
        <source>With {names} each site is scored with the part that it keeps; otherwise one model is scored at all sites.</source>
        <translation>Con {names} cada centro se puntúa con la parte que conserva; en los demás casos se puntúa un mismo modelo en todos los centros.</translation>
    </message>
    <message>
        <source>Withdrawal of an approval</source>
        <translation>Retirada de una aprobación</translation>
    </message>
    <message>
        <source>Without a map:</source>
        <translation>Sin tabla de tipos:</translation>
    </message>
    <message>
        <source>Without labels</source>
        <translation>Sin etiquetas</translation>
    </message>
    <message>
        <source>Word for word</source>
        <translation>Palabra por palabra</translation>
    </message>
    <message>
        <source>Word pairs shared</source>
        <translation>Pares de palabras en común</translation>
    </message>
    <message>
        <source>Word parts in a row, beyond the model without this round: at most {beyond}; on held-out notes {usual}. In {share:.0%} of {trained} notes ({low:.0%} to {high:.0%}) there were {run} or more.</source>
        <translation>Fragmentos de palabra seguidos, más que el modelo sin esta ronda: como máximo {beyond}; en notas reservadas, {usual}. En el {share:.0%} de {trained} notas (de {low:.0%} a {high:.0%}) hubo {run} o más.</translation>
    </message>
    <message>
        <source>Words of your own, separated by commas. Each site says which of its types is which of these.</source>
        <translation>Palabras suyas, separadas por comas. Cada centro dice cuál de sus tipos es cuál de estos.</translation>
    </message>
    <message>
        <source>Words shared</source>
        <translation>Palabras en común</translation>
    </message>
    <message>
        <source>Words that all these sites see</source>
        <translation>Palabras que ven todos estos centros</translation>
    </message>
    <message>
        <source>Worse on {notes}, fairly sure</source>
        <translation>Peor en {notes}, con bastante seguridad</translation>
    </message>
    <message>
        <source>Worse than alone</source>
        <translation>Peor que por separado</translation>
    </message>
    <message>
        <source>Worse than alone counts the sites of all seeds whose loss is above that of training alone.</source>
        <translation>«Peor que por separado» cuenta los centros de todas las semillas cuya pérdida supera la del entrenamiento por separado.</translation>
    </message>
    <message>
        <source>Worse than {earlier} after as many rounds ({rounds}): {now} of 100 found correctly, {then} then</source>
        <translation>Peor que {earlier} tras el mismo número de rondas ({rounds}): {now} aciertos de cada 100, frente a {then} entonces</translation>
    </message>
    <message>
        <source>Worst site</source>
        <translation>Peor centro</translation>
    </message>
    <message>
        <source>Worst site&apos;s F1</source>
        <translation>F1 del peor centro</translation>
    </message>
    <message>
        <source>Worst site&apos;s mean of tasks</source>
        <translation>Media de las tareas del peor centro</translation>
    </message>
    <message>
        <source>Write a reason first, for the people who read this record later.</source>
        <translation>Escriba antes un motivo, para quienes lean este registro más adelante.</translation>
    </message>
    <message>
        <source>Write your name first, for the people who read this record later.</source>
        <translation>Escriba antes su nombre, para quienes lean este registro más adelante.</translation>
    </message>
    <message>
        <source>Written before it was done, so that nothing happens without a trace.</source>
        <translation>Se escribe antes de hacerlo, para que nada ocurra sin dejar rastro.</translation>
    </message>
    <message>
        <source>Written on {time} UTC. Times below are UTC. Paper proves nothing by itself: a signed export does.</source>
        <translation>Escrito el {time} UTC. Las horas de abajo son UTC. El papel no demuestra nada por sí solo: una exportación firmada, sí.</translation>
    </message>
    <message>
        <source>Written once it was done.</source>
        <translation>Se escribe una vez hecho.</translation>
    </message>
    <message>
        <source>Yes</source>
        <translation>Sí</translation>
    </message>
    <message>
        <source>You approved it</source>
        <translation>Usted la aprobó</translation>
    </message>
    <message>
        <source>You can choose it under Try it, and save it from there.</source>
        <translation>Puede elegirlo en Probar y guardarlo desde allí.</translation>
    </message>
    <message>
        <source>You confirm that you have looked through all entries up to number {number}.</source>
        <translation>Usted declara que ha revisado todas las entradas hasta la número {number}.</translation>
    </message>
    <message>
        <source>You decided not to send this one. Waiting for the next round.</source>
        <translation>Usted decidió no enviarla. A la espera de la próxima ronda.</translation>
    </message>
    <message>
        <source>You found no difference.</source>
        <translation>No ha encontrado ninguna diferencia.</translation>
    </message>
    <message>
        <source>You have an invitation, and notes that may be learned from. They stay on this computer.</source>
        <translation>Tiene una invitación y notas de las que se puede aprender. Se quedan en este ordenador.</translation>
    </message>
    <message>
        <source>You paused the work</source>
        <translation>Usted puso el trabajo en pausa</translation>
    </message>
    <message>
        <source>You preferred {name}.</source>
        <translation>Ha preferido: {name}.</translation>
    </message>
    <message>
        <source>Your agreement</source>
        <translation>Su conformidad</translation>
    </message>
    <message>
        <source>Your approval</source>
        <translation>Su aprobación</translation>
    </message>
    <message>
        <source>Your approval is taken back, and you are asked again at the next start.</source>
        <translation>Su aprobación se retira, y se le volverá a preguntar la próxima vez que abra el programa.</translation>
    </message>
    <message>
        <source>Your approval was taken back because the program closed.</source>
        <translation>Su aprobación se retiró porque se cerró el programa.</translation>
    </message>
    <message>
        <source>Your approval was taken back because the work was stopped.</source>
        <translation>Su aprobación se retiró porque se detuvo el trabajo.</translation>
    </message>
    <message>
        <source>Your correction (control variate): its change in this round leaves, and all these changes add up to it.</source>
        <translation>Su corrección (variable de control): sale su cambio en esta ronda, y todos estos cambios juntos la componen.</translation>
    </message>
    <message>
        <source>Your decision is being recorded.</source>
        <translation>Se está registrando su decisión.</translation>
    </message>
    <message>
        <source>Your firewall must let sites connect to it.</source>
        <translation>Su cortafuegos debe dejar entrar ahí a los centros.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for a person ({rule}).</source>
        <translation>La política de su hospital exige una persona ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for no more than this program does ({rule}).</source>
        <translation>La política de su hospital no exige más de lo que hace este programa ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}).</source>
        <translation>La política de su hospital exige dos personas ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy asks for two people ({rule}): {name} has approved, and another must as well.</source>
        <translation>La política de su hospital exige dos personas ({rule}): {name} ha aprobado, y otra debe hacerlo también.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy does not let it leave ({rule}).</source>
        <translation>La política de su hospital no permite que salga ({rule}).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours).</source>
        <translation>La política de su hospital no permite que salga nada antes de: {time} (horario).</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets nothing leave before {time} (hours). You can take it back until then.</source>
        <translation>La política de su hospital no permite que salga nada antes de: {time} (horario). Hasta entonces puede retirarla.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy lets only {names} approve ({rule}).</source>
        <translation>La política de su hospital solo permite aprobar a {names} ({rule}).</translation>
    </message>
    <message>
        <source>Your invitation</source>
        <translation>Su invitación</translation>
    </message>
    <message>
        <source>Your name there</source>
        <translation>Su nombre allí</translation>
    </message>
    <message>
        <source>Your notes</source>
        <translation>Sus notas</translation>
    </message>
    <message>
        <source>Your notes beside others&apos;</source>
        <translation>Sus notas frente a las de los demás</translation>
    </message>
    <message>
        <source>Your notes hold none that the check of notes would find.</source>
        <translation>Sus notas no contienen ninguno que la comprobación de notas pudiera encontrar.</translation>
    </message>
    <message>
        <source>Your part</source>
        <translation>Su parte</translation>
    </message>
    <message>
        <source>Your part is done</source>
        <translation>Su parte está hecha</translation>
    </message>
    <message>
        <source>Your personal adapter: no byte of it is in this update.</source>
        <translation>Su adaptador personal: ni un byte de él está en esta actualización.</translation>
    </message>
    <message>
        <source>Your reason</source>
        <translation>Su motivo</translation>
    </message>
    <message>
        <source>Your system tells you of these while the window is not in front. They never hold text of a note.</source>
        <translation>Su sistema le avisa de esto cuando la ventana no está delante. Nunca contienen texto de una nota.</translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than allowed, so it was shortened.</source>
        <translation>Su actualización de la ronda {round} cambiaba el modelo más de lo permitido, así que se acortó.</translation>
    </message>
    <message>
        <source>Your update of round {round} changed the model more than updates usually do. It counted as it is.</source>
        <translation>Su actualización de la ronda {round} cambiaba el modelo más de lo habitual. Contó tal como es.</translation>
    </message>
    <message>
        <source>Your update of round {round} points away from the others&apos;. It counted all the same.</source>
        <translation>Su actualización de la ronda {round} apunta en otra dirección que las demás. Contó igualmente.</translation>
    </message>
    <message>
        <source>Your update of round {round} was not combined: others were nearer to one another.</source>
        <translation>Su actualización de la ronda {round} no se combinó: otras estaban más cerca entre sí.</translation>
    </message>
    <message>
        <source>a person must approve</source>
        <translation>debe aprobar una persona</translation>
    </message>
    <message>
        <source>a rule</source>
        <translation>una regla</translation>
    </message>
    <message>
        <source>a test environment</source>
        <translation>un entorno de prueba</translation>
    </message>
    <message>
        <source>a test: its results do not count</source>
        <translation>una prueba: sus resultados no cuentan</translation>
    </message>
    <message>
        <source>a trained adapter of rank {rank}</source>
        <translation>un adaptador entrenado de rango {rank}</translation>
    </message>
    <message>
        <source>about {time}</source>
        <translation>aprox. {time}</translation>
    </message>
    <message>
        <source>adapter</source>
        <translation>adaptador</translation>
    </message>
    <message>
        <source>adapter after training</source>
        <translation>adaptador tras el entrenamiento</translation>
    </message>
    <message>
        <source>addresses</source>
        <translation>direcciones</translation>
    </message>
    <message>
        <source>after the first site</source>
        <translation>tras el primer centro</translation>
    </message>
    <message>
        <source>after the opening</source>
        <translation>tras la apertura</translation>
    </message>
    <message>
        <source>after the question</source>
        <translation>tras la pregunta</translation>
    </message>
    <message>
        <source>after training</source>
        <translation>tras el entrenamiento</translation>
    </message>
    <message>
        <source>alike</source>
        <translation>parecidas</translation>
    </message>
    <message>
        <source>all sites&apos; test notes</source>
        <translation>las notas de prueba de todos los centros</translation>
    </message>
    <message>
        <source>an adapter was trained</source>
        <translation>se ha entrenado un adaptador</translation>
    </message>
    <message>
        <source>and {n} more</source>
        <translation>y {n} más</translation>
    </message>
    <message>
        <source>another type on the other side</source>
        <translation>otro tipo en el otro lado</translation>
    </message>
    <message>
        <source>approved</source>
        <translation>aprobada</translation>
    </message>
    <message>
        <source>as combined drift was {drift}</source>
        <translation>porque la deriva combinada era {drift}</translation>
    </message>
    <message>
        <source>as combined drift was {drift}, above {level:g}</source>
        <translation>porque la deriva combinada era {drift}, por encima de {level:g}</translation>
    </message>
    <message>
        <source>as combined drift was {drift}, below {level:g}</source>
        <translation>porque la deriva combinada era {drift}, por debajo de {level:g}</translation>
    </message>
    <message>
        <source>as the method plans</source>
        <translation>como prevé el método</translation>
    </message>
    <message>
        <source>as usual</source>
        <translation>lo habitual</translation>
    </message>
    <message>
        <source>attempt {number}</source>
        <translation>intento {number}</translation>
    </message>
    <message>
        <source>before training</source>
        <translation>antes del entrenamiento</translation>
    </message>
    <message>
        <source>better</source>
        <translation>mejor</translation>
    </message>
    <message>
        <source>bytes of {part}</source>
        <translation>bytes de {part}</translation>
    </message>
    <message>
        <source>change of the correction (control variate)</source>
        <translation>cambio de la corrección (variable de control)</translation>
    </message>
    <message>
        <source>changed</source>
        <translation>cambio</translation>
    </message>
    <message>
        <source>chosen</source>
        <translation>elegido</translation>
    </message>
    <message>
        <source>closes now</source>
        <translation>se cierra ahora</translation>
    </message>
    <message>
        <source>closes {time}</source>
        <translation>cierre: {time}</translation>
    </message>
    <message>
        <source>closes {time}, in {left}</source>
        <translation>cierre: {time}, en {left}</translation>
    </message>
    <message>
        <source>combined</source>
        <translation>combinada</translation>
    </message>
    <message>
        <source>coordinator</source>
        <translation>el coordinador</translation>
    </message>
    <message>
        <source>count of {name}</source>
        <translation>recuento de {name}</translation>
    </message>
    <message>
        <source>dates of birth</source>
        <translation>fechas de nacimiento</translation>
    </message>
    <message>
        <source>difference, 16 bits</source>
        <translation>diferencia, 16 bits</translation>
    </message>
    <message>
        <source>difference, 4 bits</source>
        <translation>diferencia, 4 bits</translation>
    </message>
    <message>
        <source>difference, 8 bits</source>
        <translation>diferencia, 8 bits</translation>
    </message>
    <message>
        <source>e-mail addresses</source>
        <translation>direcciones de correo electrónico</translation>
    </message>
    <message>
        <source>earlier</source>
        <translation>anterior</translation>
    </message>
    <message>
        <source>earlier, model</source>
        <translation>anterior, modelo</translation>
    </message>
    <message>
        <source>earlier, validation</source>
        <translation>anterior, validación</translation>
    </message>
    <message>
        <source>entities of type {name}</source>
        <translation>entidades del tipo {name}</translation>
    </message>
    <message>
        <source>entry of this record</source>
        <translation>entrada de este registro</translation>
    </message>
    <message>
        <source>epsilon {epsilon} of each whole site (delta {delta}), noise {noise} x clip {clip}, added by the {who}</source>
        <translation>épsilon {epsilon} de cada centro entero (delta {delta}), ruido {noise} x recorte {clip}, añadido por: {who}</translation>
    </message>
    <message>
        <source>evaluate</source>
        <translation>evaluación</translation>
    </message>
    <message>
        <source>example notes</source>
        <translation>notas de ejemplo</translation>
    </message>
    <message>
        <source>factor {factor} only, {size}</source>
        <translation>solo el factor {factor}, {size}</translation>
    </message>
    <message>
        <source>falling</source>
        <translation>a la baja</translation>
    </message>
    <message>
        <source>federation</source>
        <translation>federación</translation>
    </message>
    <message>
        <source>fedmed-desktop {version}. Research software under the Apache License 2.0. Not a medical device; it makes no medical claims.</source>
        <translation>fedmed-desktop {version}. Software de investigación con licencia Apache 2.0. No es un producto sanitario; no hace ninguna afirmación médica.</translation>
    </message>
    <message>
        <source>file</source>
        <translation>archivo</translation>
    </message>
    <message>
        <source>final</source>
        <translation>final</translation>
    </message>
    <message>
        <source>final adapter</source>
        <translation>adaptador final</translation>
    </message>
    <message>
        <source>first round: nothing to compare with yet</source>
        <translation>primera ronda: todavía no hay con qué comparar</translation>
    </message>
    <message>
        <source>first token after {time}</source>
        <translation>primer token tras {time}</translation>
    </message>
    <message>
        <source>higher</source>
        <translation>mayor</translation>
    </message>
    <message>
        <source>host</source>
        <translation>anfitrión</translation>
    </message>
    <message>
        <source>how many entities of each type your training notes have</source>
        <translation>cuántas entidades de cada tipo tienen sus notas de entrenamiento</translation>
    </message>
    <message>
        <source>how many notes it was trained on, and how large the errors were (loss)</source>
        <translation>con cuántas notas se entrenó y lo grandes que eran los errores (pérdida)</translation>
    </message>
    <message>
        <source>how many of your training notes are of each specialty</source>
        <translation>cuántas de sus notas de entrenamiento son de cada especialidad</translation>
    </message>
    <message>
        <source>how much each part of the adapter mattered in training (one number for each matrix)</source>
        <translation>cuánto importó cada parte del adaptador en el entrenamiento (un número por matriz)</translation>
    </message>
    <message>
        <source>how much the model finds correctly in your notes (scores)</source>
        <translation>cuánto encuentra bien el modelo en sus notas (puntuaciones)</translation>
    </message>
    <message>
        <source>if {conditions}, </source>
        <translation>si {conditions}, </translation>
    </message>
    <message>
        <source>ignored</source>
        <translation>se ignora</translation>
    </message>
    <message>
        <source>importance of {name}, by layer</source>
        <translation>importancia de {name}, por capa</translation>
    </message>
    <message>
        <source>invitation</source>
        <translation>invitación</translation>
    </message>
    <message>
        <source>it may not leave</source>
        <translation>no puede salir</translation>
    </message>
    <message>
        <source>its loss on the federation&apos;s public notes</source>
        <translation>su pérdida en las notas públicas de la federación</translation>
    </message>
    <message>
        <source>kept</source>
        <translation>conservado</translation>
    </message>
    <message>
        <source>kept at this site</source>
        <translation>conservada en este centro</translation>
    </message>
    <message>
        <source>key</source>
        <translation>clave</translation>
    </message>
    <message>
        <source>large</source>
        <translation>grande</translation>
    </message>
    <message>
        <source>less than a minute</source>
        <translation>menos de un minuto</translation>
    </message>
    <message>
        <source>look twice</source>
        <translation>mírelo con atención</translation>
    </message>
    <message>
        <source>looks for {types}</source>
        <translation>busca {types}</translation>
    </message>
    <message>
        <source>loss on shared notes</source>
        <translation>pérdida en notas compartidas</translation>
    </message>
    <message>
        <source>loss {value:.2f}</source>
        <translation>pérdida {value:.2f}</translation>
    </message>
    <message>
        <source>lower</source>
        <translation>menor</translation>
    </message>
    <message>
        <source>lowered in round {round}: {before} to {after}</source>
        <translation>bajado en la ronda {round}: de {before} a {after}</translation>
    </message>
    <message>
        <source>masked adapter</source>
        <translation>adaptador enmascarado</translation>
    </message>
    <message>
        <source>model</source>
        <translation>modelo</translation>
    </message>
    <message>
        <source>names in headers</source>
        <translation>nombres en encabezados</translation>
    </message>
    <message>
        <source>never sent</source>
        <translation>nunca se envía</translation>
    </message>
    <message>
        <source>no difference shown</source>
        <translation>sin diferencia demostrada</translation>
    </message>
    <message>
        <source>no entities</source>
        <translation>ninguna entidad</translation>
    </message>
    <message>
        <source>no more than this program asks for by itself</source>
        <translation>no más de lo que este programa exige por sí mismo</translation>
    </message>
    <message>
        <source>no name</source>
        <translation>ningún nombre</translation>
    </message>
    <message>
        <source>nobody</source>
        <translation>nadie</translation>
    </message>
    <message>
        <source>nobody in time</source>
        <translation>nadie a tiempo</translation>
    </message>
    <message>
        <source>none</source>
        <translation>ninguno</translation>
    </message>
    <message>
        <source>none to test with</source>
        <translation>ninguna para la prueba</translation>
    </message>
    <message>
        <source>none yet</source>
        <translation>todavía ninguno</translation>
    </message>
    <message>
        <source>none, scores only</source>
        <translation>ninguno, solo puntuaciones</translation>
    </message>
    <message>
        <source>none: it is the first</source>
        <translation>ninguno: es el primero</translation>
    </message>
    <message>
        <source>not clear</source>
        <translation>no está claro</translation>
    </message>
    <message>
        <source>not known while the host&apos;s computer cannot be reached</source>
        <translation>se desconoce mientras no se pueda acceder al ordenador del anfitrión</translation>
    </message>
    <message>
        <source>not measured</source>
        <translation>sin medir</translation>
    </message>
    <message>
        <source>not read</source>
        <translation>sin leer</translation>
    </message>
    <message>
        <source>not stated</source>
        <translation>sin indicar</translation>
    </message>
    <message>
        <source>not trained</source>
        <translation>sin entrenar</translation>
    </message>
    <message>
        <source>not: {type}</source>
        <translation>no: {type}</translation>
    </message>
    <message>
        <source>note {done:,} of {total:,}</source>
        <translation>nota {done:,} de {total:,}</translation>
    </message>
    <message>
        <source>notes never used for training</source>
        <translation>notas que ningún entrenamiento ha visto</translation>
    </message>
    <message>
        <source>notes of specialty {name}</source>
        <translation>notas de la especialidad {name}</translation>
    </message>
    <message>
        <source>nothing found</source>
        <translation>no se encontró nada</translation>
    </message>
    <message>
        <source>now</source>
        <translation>ahora</translation>
    </message>
    <message>
        <source>one seed, no interval</source>
        <translation>una semilla, sin intervalo</translation>
    </message>
    <message>
        <source>only here</source>
        <translation>solo aquí</translation>
    </message>
    <message>
        <source>only scores are asked for</source>
        <translation>solo se piden puntuaciones</translation>
    </message>
    <message>
        <source>other sites</source>
        <translation>otros centros</translation>
    </message>
    <message>
        <source>performance</source>
        <translation>rendimiento</translation>
    </message>
    <message>
        <source>phone numbers</source>
        <translation>números de teléfono</translation>
    </message>
    <message>
        <source>plan</source>
        <translation>plan</translation>
    </message>
    <message>
        <source>postcodes</source>
        <translation>códigos postales</translation>
    </message>
    <message>
        <source>raised in round {round}: {before} to {after}</source>
        <translation>subido en la ronda {round}: de {before} a {after}</translation>
    </message>
    <message>
        <source>real use</source>
        <translation>uso real</translation>
    </message>
    <message>
        <source>real work: its results count</source>
        <translation>trabajo real: sus resultados cuentan</translation>
    </message>
    <message>
        <source>received</source>
        <translation>recibido</translation>
    </message>
    <message>
        <source>received by the coordinator</source>
        <translation>recibida por el coordinador</translation>
    </message>
    <message>
        <source>record numbers</source>
        <translation>números de historia clínica</translation>
    </message>
    <message>
        <source>refused</source>
        <translation>rechazado</translation>
    </message>
    <message>
        <source>refused by the coordinator</source>
        <translation>rechazada por el coordinador</translation>
    </message>
    <message>
        <source>released for sending</source>
        <translation>autorizada para el envío</translation>
    </message>
    <message>
        <source>reveals something</source>
        <translation>revela algo</translation>
    </message>
    <message>
        <source>rising</source>
        <translation>al alza</translation>
    </message>
    <message>
        <source>round</source>
        <translation>ronda</translation>
    </message>
    <message>
        <source>round closed</source>
        <translation>ronda cerrada</translation>
    </message>
    <message>
        <source>round {number}</source>
        <translation>ronda {number}</translation>
    </message>
    <message>
        <source>round {round} step {step:,}</source>
        <translation>ronda {round}, paso {step:,}</translation>
    </message>
    <message>
        <source>round {round}, layer {layer}: {value}</source>
        <translation>ronda {round}, capa {layer}: {value}</translation>
    </message>
    <message>
        <source>round {round}, step {step:,}</source>
        <translation>ronda {round}, paso {step:,}</translation>
    </message>
    <message>
        <source>rule</source>
        <translation>regla</translation>
    </message>
    <message>
        <source>same</source>
        <translation>igual</translation>
    </message>
    <message>
        <source>scores of the final adapter</source>
        <translation>puntuaciones del adaptador final</translation>
    </message>
    <message>
        <source>scores only</source>
        <translation>solo puntuaciones</translation>
    </message>
    <message>
        <source>seen {repeats} times: {exposure:.1f} bits ({low:.1f} to {high:.1f}, at most {most:.0f})</source>
        <translation>visto {repeats} veces: {exposure:.1f} bits (de {low:.1f} a {high:.1f}, como máximo {most:.0f})</translation>
    </message>
    <message>
        <source>semantic</source>
        <translation>semántica</translation>
    </message>
    <message>
        <source>sending</source>
        <translation>enviando</translation>
    </message>
    <message>
        <source>sending soon</source>
        <translation>envío inminente</translation>
    </message>
    <message>
        <source>sha256 of everything that is decided on</source>
        <translation>sha256 de todo aquello sobre lo que se decide</translation>
    </message>
    <message>
        <source>sha256 of the update</source>
        <translation>sha256 de la actualización</translation>
    </message>
    <message>
        <source>sha256 of {part}</source>
        <translation>sha256 de {part}</translation>
    </message>
    <message>
        <source>site</source>
        <translation>centro</translation>
    </message>
    <message>
        <source>sites</source>
        <translation>los centros</translation>
    </message>
    <message>
        <source>small</source>
        <translation>pequeño</translation>
    </message>
    <message>
        <source>smoothed</source>
        <translation>suavizada</translation>
    </message>
    <message>
        <source>social security numbers</source>
        <translation>números de la seguridad social</translation>
    </message>
    <message>
        <source>somewhat different</source>
        <translation>algo distintas</translation>
    </message>
    <message>
        <source>started {time}</source>
        <translation>inicio: {time}</translation>
    </message>
    <message>
        <source>steady</source>
        <translation>estable</translation>
    </message>
    <message>
        <source>step {done:,} of {total:,}</source>
        <translation>paso {done:,} de {total:,}</translation>
    </message>
    <message>
        <source>taken</source>
        <translation>elegido</translation>
    </message>
    <message>
        <source>taken back in time</source>
        <translation>retirado a tiempo</translation>
    </message>
    <message>
        <source>the common model</source>
        <translation>el modelo común</translation>
    </message>
    <message>
        <source>the coordinator</source>
        <translation>el coordinador</translation>
    </message>
    <message>
        <source>the example notes</source>
        <translation>las notas de ejemplo</translation>
    </message>
    <message>
        <source>the federation is a test</source>
        <translation>la federación es de prueba</translation>
    </message>
    <message>
        <source>the federation is in production</source>
        <translation>la federación está en producción</translation>
    </message>
    <message>
        <source>the federation is {value}</source>
        <translation>la federación es {value}</translation>
    </message>
    <message>
        <source>the method is {value}</source>
        <translation>el método es {value}</translation>
    </message>
    <message>
        <source>the note denies it</source>
        <translation>la nota lo niega</translation>
    </message>
    <message>
        <source>the policy</source>
        <translation>la política</translation>
    </message>
    <message>
        <source>the policy has changed</source>
        <translation>la política ha cambiado</translation>
    </message>
    <message>
        <source>the program</source>
        <translation>el programa</translation>
    </message>
    <message>
        <source>the program ended before the approval was in effect</source>
        <translation>el programa terminó antes de que la aprobación surtiera efecto</translation>
    </message>
    <message>
        <source>the rank is at most {value}</source>
        <translation>el rango es como máximo {value}</translation>
    </message>
    <message>
        <source>the rank is over {value}</source>
        <translation>el rango es superior a {value}</translation>
    </message>
    <message>
        <source>the score, of 100, changes by less than {value}</source>
        <translation>la puntuación (de 100) cambia en menos de {value}</translation>
    </message>
    <message>
        <source>the score, of 100, changes by {value} or more</source>
        <translation>la puntuación (de 100) cambia en {value} o más</translation>
    </message>
    <message>
        <source>the update is at most {value} times as large as the last one</source>
        <translation>la actualización es como máximo {value} veces tan grande como la anterior</translation>
    </message>
    <message>
        <source>the update is more than {value} times as large as the last one</source>
        <translation>la actualización es más de {value} veces tan grande como la anterior</translation>
    </message>
    <message>
        <source>the work was stopped</source>
        <translation>se detuvo el trabajo</translation>
    </message>
    <message>
        <source>this program</source>
        <translation>este programa</translation>
    </message>
    <message>
        <source>to {address}</source>
        <translation>a {address}</translation>
    </message>
    <message>
        <source>tokens/s</source>
        <translation>tokens/s</translation>
    </message>
    <message>
        <source>too late</source>
        <translation>demasiado tarde</translation>
    </message>
    <message>
        <source>train</source>
        <translation>entrenamiento</translation>
    </message>
    <message>
        <source>training</source>
        <translation>entrenamiento</translation>
    </message>
    <message>
        <source>update</source>
        <translation>actualización</translation>
    </message>
    <message>
        <source>validation</source>
        <translation>validación</translation>
    </message>
    <message>
        <source>validation loss {loss}</source>
        <translation>pérdida de validación {loss}</translation>
    </message>
    <message>
        <source>very different</source>
        <translation>muy distintas</translation>
    </message>
    <message>
        <source>waiting</source>
        <translation>en espera</translation>
    </message>
    <message>
        <source>waiting for a decision</source>
        <translation>a la espera de una decisión</translation>
    </message>
    <message>
        <source>what</source>
        <translation>qué</translation>
    </message>
    <message>
        <source>what it may reveal is rated &quot;{value}&quot; or worse</source>
        <translation>lo que puede revelar se valora como «{value}» o peor</translation>
    </message>
    <message>
        <source>without progress</source>
        <translation>sin avance</translation>
    </message>
    <message>
        <source>worse</source>
        <translation>peor</translation>
    </message>
    <message>
        <source>your notes</source>
        <translation>sus notas</translation>
    </message>
    <message>
        <source>your notes kept aside</source>
        <translation>sus notas reservadas</translation>
    </message>
    <message>
        <source>your site</source>
        <translation>su centro</translation>
    </message>
    <message>
        <source>{adapter} is better than the base model: {tasks}.</source>
        <translation>{adapter} es mejor que el modelo base: {tasks}.</translation>
    </message>
    <message>
        <source>{adapter} is worse than the base model: {tasks}.</source>
        <translation>{adapter} es peor que el modelo base: {tasks}.</translation>
    </message>
    <message>
        <source>{adapter}, for the base {model}.</source>
        <translation>{adapter}, para el modelo base {model}.</translation>
    </message>
    <message>
        <source>{adapter}, merged into the base model {model}.</source>
        <translation>{adapter}, fusionado en el modelo base {model}.</translation>
    </message>
    <message>
        <source>{after} of 100</source>
        <translation>{after} de 100</translation>
    </message>
    <message>
        <source>{ahead} was better in {more} of {all}, {behind} in {less}; no difference in {neither}.</source>
        <translation>{ahead} fue mejor en {more} de {all}, {behind} en {less}; sin diferencia en {neither}.</translation>
    </message>
    <message>
        <source>{before} → {after} of 100</source>
        <translation>{before} → {after} de 100</translation>
    </message>
    <message>
        <source>{before}, now {value}, {word}</source>
        <translation>{before}, ahora {value}, {word}</translation>
    </message>
    <message>
        <source>{cell} has no result and is in no mean: {reason}</source>
        <translation>{cell} no tiene resultado y no entra en ninguna media: {reason}</translation>
    </message>
    <message>
        <source>{change}, {reason}</source>
        <translation>{change}, {reason}</translation>
    </message>
    <message>
        <source>{count:,} to test with</source>
        <translation>{count:,} para la prueba</translation>
    </message>
    <message>
        <source>{count} expected before round {round}</source>
        <translation>{count} previstos antes de la ronda {round}</translation>
    </message>
    <message numerus="yes">
        <source>{count} of %n site(s) connected.</source>
        <translation>
            <numerusform>{count} de %n centro conectado.</numerusform>
            <numerusform>{count} de %n centros conectados.</numerusform>
        </translation>
    </message>
    <message>
        <source>{count} of {all}</source>
        <translation>{count} de {all}</translation>
    </message>
    <message>
        <source>{days} {opens} to {closes}</source>
        <translation>{days}, de {opens} a {closes}</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} de {total}</translation>
    </message>
    <message>
        <source>{done} of {total} answers</source>
        <translation>{done} de {total} respuestas</translation>
    </message>
    <message>
        <source>{done} of {total} sites are scored.</source>
        <translation>{done} de {total} centros puntuados.</translation>
    </message>
    <message>
        <source>{drift} not measured yet</source>
        <translation>{drift}: todavía sin medir</translation>
    </message>
    <message>
        <source>{drift} not measured, because no counts are shared</source>
        <translation>{drift}: sin medir, porque no se comparten recuentos</translation>
    </message>
    <message>
        <source>{earlier} learned other tasks or types: its scores cannot be compared, its curves can</source>
        <translation>{earlier} aprendió otras tareas o tipos: sus puntuaciones no se pueden comparar; sus curvas, sí</translation>
    </message>
    <message numerus="yes">
        <source>{federation}, %n round(s), {day}</source>
        <translation>
            <numerusform>{federation}, %n ronda, {day}</numerusform>
            <numerusform>{federation}, %n rondas, {day}</numerusform>
        </translation>
    </message>
    <message>
        <source>{file}, row {row}</source>
        <translation>{file}, fila {row}</translation>
    </message>
    <message>
        <source>{found} on {notes}</source>
        <translation>{found} en {notes}</translation>
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
        <translation>Se han unido {joined} de {expected} centros</translation>
    </message>
    <message>
        <source>{kept:,} of {all:,} marked entities count.</source>
        <translation>Cuentan {kept:,} de {all:,} entidades marcadas.</translation>
    </message>
    <message>
        <source>{key} is locked by this computer&apos;s administrator: what {path} says about it does not count.</source>
        <translation>{key} está bloqueada por el administrador de este ordenador: lo que {path} dice de ella no cuenta.</translation>
    </message>
    <message>
        <source>{list} and {count} more</source>
        <translation>{list} y {count} más</translation>
    </message>
    <message>
        <source>{list}; and {count} more</source>
        <translation>{list}; y {count} más</translation>
    </message>
    <message>
        <source>{low} to {high}</source>
        <translation>de {low} a {high}</translation>
    </message>
    <message>
        <source>{measure}, categories</source>
        <translation>{measure}, categorías</translation>
    </message>
    <message>
        <source>{measure}, lenient</source>
        <translation>{measure}, tolerante</translation>
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
        <translation>{missing:,} de {all:,} celdas no se han ejecutado todavía; las medias son de las que sí.</translation>
    </message>
    <message>
        <source>{modifier}, {kind} of {mention}</source>
        <translation>{modifier}, {kind} de {mention}</translation>
    </message>
    <message>
        <source>{most} (the largest)</source>
        <translation>{most} (la mayor)</translation>
    </message>
    <message>
        <source>{n:,} of {notes}</source>
        <translation>{n:,} de {notes}</translation>
    </message>
    <message>
        <source>{name} (a new key)</source>
        <translation>{name} (clave nueva)</translation>
    </message>
    <message>
        <source>{name} (as a host)</source>
        <translation>{name} (como anfitrión)</translation>
    </message>
    <message>
        <source>{name} is more frequent here: {own} against {federation} in the federation.</source>
        <translation>{name} es más frecuente aquí: {own} frente a {federation} en la federación.</translation>
    </message>
    <message>
        <source>{name} is rarer here: {own} against {federation}.</source>
        <translation>{name} es menos frecuente aquí: {own} frente a {federation}.</translation>
    </message>
    <message>
        <source>{name} may approve in place of {other} from {first} to {last}.</source>
        <translation>{name} puede aprobar en lugar de {other} del {first} al {last}.</translation>
    </message>
    <message>
        <source>{now}; {before} before.</source>
        <translation>{now}; antes, {before}.</translation>
    </message>
    <message>
        <source>{n} characters · {what}</source>
        <translation>{n} caracteres · {what}</translation>
    </message>
    <message>
        <source>{n} of 100</source>
        <translation>{n} de 100</translation>
    </message>
    <message>
        <source>{n} of 100 found correctly</source>
        <translation>{n} aciertos de cada 100</translation>
    </message>
    <message>
        <source>{reason} (policy: {rule})</source>
        <translation>{reason} (política: {rule})</translation>
    </message>
    <message>
        <source>{relative:.1f} times as likely as invented ones of the same form, {low:.1f} to {high:.1f} (no leak: 1); {strings} found, the most {largest:,.1f} times.</source>
        <translation>{relative:.1f} veces la probabilidad de los inventados de la misma forma, de {low:.1f} a {high:.1f} (sin fuga: 1); {strings} encontrados, como máximo {largest:,.1f} veces.</translation>
    </message>
    <message>
        <source>{scores}, mean of {n} tasks</source>
        <translation>{scores}, media de {n} tareas</translation>
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
        <translation>Han enviado {sent} de {asked} centros</translation>
    </message>
    <message>
        <source>{share} of the full model</source>
        <translation>{share} del modelo completo</translation>
    </message>
    <message>
        <source>{sites} (you)</source>
        <translation>{sites} (usted)</translation>
    </message>
    <message>
        <source>{sites} sites</source>
        <translation>{sites} centros</translation>
    </message>
    <message>
        <source>{sites} sites, {asked} asked per round</source>
        <translation>{sites} centros, {asked} convocados por ronda</translation>
    </message>
    <message>
        <source>{site} alone</source>
        <translation>{site} por separado</translation>
    </message>
    <message>
        <source>{site} can no longer take part.</source>
        <translation>{site} ya no puede participar.</translation>
    </message>
    <message>
        <source>{site} computes first; the sites share this computer.</source>
        <translation>{site} calcula primero; los centros comparten este ordenador.</translation>
    </message>
    <message>
        <source>{site} is admitted.</source>
        <translation>Se ha admitido a {site}.</translation>
    </message>
    <message>
        <source>{some} of {all}</source>
        <translation>{some} de {all}</translation>
    </message>
    <message>
        <source>{speed} tokens per second</source>
        <translation>{speed} tokens por segundo</translation>
    </message>
    <message>
        <source>{task} from {before} to {after} of 100</source>
        <translation>{task}, de {before} a {after} de 100</translation>
    </message>
    <message>
        <source>{task}, combined model, since round {round}</source>
        <translation>{task}, modelo combinado, desde la ronda {round}</translation>
    </message>
    <message>
        <source>{task}, for the federation</source>
        <translation>{task}, para la federación</translation>
    </message>
    <message>
        <source>{times:.1f}x your last</source>
        <translation>{times:.1f}x la última suya</translation>
    </message>
    <message>
        <source>{times:.2f} times</source>
        <translation>{times:.2f} veces</translation>
    </message>
    <message>
        <source>{time} in total</source>
        <translation>{time} en total</translation>
    </message>
    <message>
        <source>{time} left</source>
        <translation>tiempo restante: {time}</translation>
    </message>
    <message>
        <source>{title} chart</source>
        <translation>Gráfico: {title}</translation>
    </message>
    <message>
        <source>{type}, if the federation has it</source>
        <translation>{type}, si la federación lo tiene</translation>
    </message>
    <message>
        <source>{type}, not part of the federation</source>
        <translation>{type}, fuera de la federación</translation>
    </message>
    <message>
        <source>{used} of {total} GB</source>
        <translation>{used} de {total} GB</translation>
    </message>
    <message>
        <source>{value} ({low} to {high})</source>
        <translation>{value} (de {low} a {high})</translation>
    </message>
    <message>
        <source>{value}, rank {ranks}</source>
        <translation>{value}, rango {ranks}</translation>
    </message>
    <message>
        <source>{verdict}. It reveals something about your notes: consider keeping it</source>
        <translation>{verdict}. Revela algo sobre sus notas: considere conservarlo</translation>
    </message>
    <message>
        <source>{verdict}: consider keeping it</source>
        <translation>{verdict}: considere conservarlo</translation>
    </message>
    <message>
        <source>{words} ({task})</source>
        <translation>{words} ({task})</translation>
    </message>
    <message numerus="yes">
        <source>{words}, no progress for %n min</source>
        <translation>
            <numerusform>{words}, sin avance desde hace %n min</numerusform>
            <numerusform>{words}, sin avance desde hace %n min</numerusform>
        </translation>
    </message>
    <message>
        <source>{word} is a type already.</source>
        <translation>{word} ya es un tipo.</translation>
    </message>
    <message>
        <source>± is the standard deviation over seeds.</source>
        <translation>± es la desviación típica entre semillas.</translation>
    </message>
</context>
<context>
    <name>AgreementCard</name>
    <message>
        <source>How your whole site is hidden</source>
        <translation>Cómo se oculta su centro entero</translation>
    </message>
    <message>
        <source>Leaves with each update that you approve</source>
        <translation>Sale con cada actualización que usted aprueba</translation>
    </message>
    <message>
        <source>Never: words of notes, labels, names of files, your name, your reasons. You approve each update.</source>
        <translation>Nunca: palabras de las notas, etiquetas, nombres de archivos, su nombre, sus motivos. Usted aprueba cada actualización.</translation>
    </message>
    <message>
        <source>Not now</source>
        <translation>Ahora no</translation>
    </message>
    <message>
        <source>What you agree to</source>
        <translation>Qué acepta usted</translation>
    </message>
</context>
<context>
    <name>AnswerPanel</name>
    <message>
        <source>Entity</source>
        <translation>Entidad</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>Clase</translation>
    </message>
    <message>
        <source>Modifier</source>
        <translation>Modificador</translation>
    </message>
    <message>
        <source>Modifiers and the entities that they belong to</source>
        <translation>Modificadores y las entidades a las que pertenecen</translation>
    </message>
    <message>
        <source>Summary</source>
        <translation>Resumen</translation>
    </message>
</context>
<context>
    <name>AppearanceCard</name>
    <message>
        <source>Another language applies from the next start of the program.</source>
        <translation>Otro idioma se aplica la próxima vez que se inicie el programa.</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>Como el sistema</translation>
    </message>
    <message>
        <source>Colours</source>
        <translation>Colores</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>Oscuro</translation>
    </message>
    <message>
        <source>High contrast</source>
        <translation>Alto contraste</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>Idioma</translation>
    </message>
    <message>
        <source>Larger and smaller by Ctrl and +, Ctrl and -.</source>
        <translation>Más grande y más pequeño con Ctrl y +, Ctrl y -.</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>Claro</translation>
    </message>
    <message>
        <source>Size of text</source>
        <translation>Tamaño del texto</translation>
    </message>
</context>
<context>
    <name>ApprovalsPage</name>
    <message>
        <source>Approvals</source>
        <translation>Aprobaciones</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Decisions and receipts</source>
        <translation>Decisiones y acuses de recibo</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Comprobando…</translation>
    </message>
    <message>
        <source>Nothing is waiting for you</source>
        <translation>No tiene nada pendiente</translation>
    </message>
    <message>
        <source>Once an adapter is trained, it is shown here first; nothing leaves this computer without you.</source>
        <translation>Cuando se entrena un adaptador, se muestra primero aquí; nada sale de este ordenador sin usted.</translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation>Enviar adaptador</translation>
    </message>
    <message>
        <source>Send scores</source>
        <translation>Enviar puntuaciones</translation>
    </message>
    <message>
        <source>This site&apos;s record is being read.</source>
        <translation>Se está leyendo el registro de este centro.</translation>
    </message>
</context>
<context>
    <name>BackgroundCard</name>
    <message>
        <source>Ask me, and remember the answer</source>
        <translation>Preguntarme y recordar la respuesta</translation>
    </message>
    <message>
        <source>Close the program</source>
        <translation>Cerrar el programa</translation>
    </message>
    <message>
        <source>Keep this computer awake while it trains</source>
        <translation>Evitar la suspensión mientras entrena</translation>
    </message>
    <message>
        <source>Stay in the tray while this computer takes part</source>
        <translation>Seguir en la bandeja mientras este ordenador participa</translation>
    </message>
    <message>
        <source>This desktop has no tray: closing the window closes the program.</source>
        <translation>Este escritorio no tiene bandeja: al cerrar la ventana se cierra el programa.</translation>
    </message>
    <message>
        <source>When the window is closed</source>
        <translation>Al cerrar la ventana</translation>
    </message>
</context>
<context>
    <name>BlindPanel</name>
    <message>
        <source>Hide which is which, and ask me which one is better</source>
        <translation>Ocultar los nombres y preguntarme cuál es mejor</translation>
    </message>
    <message>
        <source>Model A</source>
        <translation>Modelo A</translation>
    </message>
    <message>
        <source>Model B</source>
        <translation>Modelo B</translation>
    </message>
    <message>
        <source>No difference</source>
        <translation>Ninguna diferencia</translation>
    </message>
    <message>
        <source>Not both could be read to the end: this is no comparison.</source>
        <translation>No se pudo leer hasta el final con los dos: esto no es una comparación.</translation>
    </message>
    <message>
        <source>The left one</source>
        <translation>El de la izquierda</translation>
    </message>
    <message>
        <source>The right one</source>
        <translation>El de la derecha</translation>
    </message>
    <message>
        <source>Which one is better?</source>
        <translation>¿Cuál es mejor?</translation>
    </message>
    <message>
        <source>You are asked once both have been read.</source>
        <translation>Se le preguntará cuando los dos hayan leído la nota.</translation>
    </message>
</context>
<context>
    <name>ChangeRow</name>
    <message>
        <source>{what}: from {before} to {after}, {delta}</source>
        <translation>{what}: de {before} a {after}, {delta}</translation>
    </message>
</context>
<context>
    <name>ChartColumn</name>
    <message>
        <source>Drift</source>
        <translation>Deriva</translation>
    </message>
    <message>
        <source>Known once a round has been combined</source>
        <translation>Se sabrá cuando se haya combinado una ronda</translation>
    </message>
    <message>
        <source>Known once this site&apos;s first adapter is made</source>
        <translation>Se sabrá cuando esté hecho el primer adaptador de este centro</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Pérdida</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rango</translation>
    </message>
    <message>
        <source>Round {n}</source>
        <translation>Ronda {n}</translation>
    </message>
    <message>
        <source>Waiting for the first step</source>
        <translation>A la espera del primer paso</translation>
    </message>
    <message>
        <source>thresholds {values}</source>
        <translation>umbrales {values}</translation>
    </message>
</context>
<context>
    <name>CheckedNotes</name>
    <message>
        <source>An empty folder for the notes</source>
        <translation>Una carpeta vacía para las notas</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Escribiendo…</translation>
    </message>
    <message>
        <source>Written into {folder}.</source>
        <translation>Escrito en {folder}.</translation>
    </message>
</context>
<context>
    <name>ComputerCard</name>
    <message>
        <source>Applies from the next start of the program. Hours in which something may leave, and the rank, are limited by the policy below.</source>
        <translation>Se aplica a partir del próximo inicio del programa. Las horas en las que puede salir algo, y el rango, los limita la política de abajo.</translation>
    </message>
    <message>
        <source>Cores for training</source>
        <translation>Núcleos para el entrenamiento</translation>
    </message>
</context>
<context>
    <name>ComputerPage</name>
    <message>
        <source>Looking… This takes some seconds.</source>
        <translation>Comprobando… Tarda unos segundos.</translation>
    </message>
</context>
<context>
    <name>ConfirmDialog</name>
    <message>
        <source>Not now</source>
        <translation>Ahora no</translation>
    </message>
    <message>
        <source>They are the same: admit</source>
        <translation>Son iguales: admitir</translation>
    </message>
    <message>
        <source>They differ: shut it out</source>
        <translation>Difieren: excluir</translation>
    </message>
</context>
<context>
    <name>ConnectionsCard</name>
    <message>
        <source>A check</source>
        <translation>Una comprobación</translation>
    </message>
    <message>
        <source>All of them. Demonstrations connect only within this computer, and are not listed.</source>
        <translation>Todas. Las demostraciones solo se conectan dentro de este ordenador y no figuran aquí.</translation>
    </message>
    <message>
        <source>Host</source>
        <translation>Equipo</translation>
    </message>
    <message>
        <source>Last</source>
        <translation>Última vez</translation>
    </message>
    <message>
        <source>None yet. This program connects to the coordinator that you join, and to nothing else.</source>
        <translation>Todavía ninguna. Este programa se conecta al coordinador al que usted se une, y a nada más.</translation>
    </message>
    <message>
        <source>Taking part</source>
        <translation>Participación</translation>
    </message>
    <message>
        <source>Why</source>
        <translation>Por qué</translation>
    </message>
</context>
<context>
    <name>Countdown</name>
    <message>
        <source>Countdown</source>
        <translation>Cuenta atrás</translation>
    </message>
    <message>
        <source>Take back</source>
        <translation>Retirar</translation>
    </message>
    <message>
        <source>Time left to take it back</source>
        <translation>Tiempo que queda para retirarlo</translation>
    </message>
</context>
<context>
    <name>CurvesView</name>
    <message>
        <source>Numbers of the charts</source>
        <translation>Números de los gráficos</translation>
    </message>
</context>
<context>
    <name>DecisionCard</name>
    <message>
        <source>Your decision</source>
        <translation>Su decisión</translation>
    </message>
</context>
<context>
    <name>DemonstrationDialog</name>
    <message>
        <source>Advanced</source>
        <translation>Opciones avanzadas</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Cancelar</translation>
    </message>
    <message>
        <source>Make my site memorise a few notes, to see a warning</source>
        <translation>Hacer que mi centro memorice unas pocas notas, para ver una advertencia</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>Empezar</translation>
    </message>
</context>
<context>
    <name>EarlierDialog</name>
    <message>
        <source>Compare</source>
        <translation>Comparar</translation>
    </message>
    <message>
        <source>Compare with none</source>
        <translation>No comparar con ninguna</translation>
    </message>
    <message>
        <source>Earlier federation</source>
        <translation>Federación anterior</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Comprobando…</translation>
    </message>
    <message>
        <source>There is none on this computer yet: it comes here once this computer has left one.</source>
        <translation>Todavía no hay ninguna en este ordenador: aparece aquí cuando este ordenador deja una.</translation>
    </message>
</context>
<context>
    <name>EntityLegend</name>
    <message>
        <source>Types of entities</source>
        <translation>Tipos de entidades</translation>
    </message>
</context>
<context>
    <name>EntryCard</name>
    <message>
        <source>Choose an entry to see everything it says.</source>
        <translation>Elija una entrada para ver todo lo que dice.</translation>
    </message>
    <message>
        <source>Entry</source>
        <translation>Entrada</translation>
    </message>
</context>
<context>
    <name>EvaluationCard</name>
    <message>
        <source>A folder for scores and predictions</source>
        <translation>Una carpeta para puntuaciones y predicciones</translation>
    </message>
    <message>
        <source>About other notes than those shown above: {path}</source>
        <translation>Sobre notas distintas de las que se muestran arriba: {path}</translation>
    </message>
    <message>
        <source>Evaluate again</source>
        <translation>Volver a evaluar</translation>
    </message>
    <message>
        <source>Evaluate on these notes</source>
        <translation>Evaluar con estas notas</translation>
    </message>
    <message>
        <source>How good the model is on these notes</source>
        <translation>Calidad del modelo en estas notas</translation>
    </message>
    <message>
        <source>Progress of the evaluation</source>
        <translation>Parte ya hecha de la evaluación</translation>
    </message>
    <message>
        <source>Save scores and predictions…</source>
        <translation>Progreso de la evaluación</translation>
    </message>
    <message>
        <source>Saved. The predictions hold words of the notes: keep them at your site.</source>
        <translation>Guardado. Las predicciones contienen palabras de las notas: consérvelas en su centro.</translation>
    </message>
    <message>
        <source>Scores on these notes</source>
        <translation>Puntuaciones en estas notas</translation>
    </message>
    <message>
        <source>Test notes are used where there are some. Nothing is sent; it may take minutes to hours.</source>
        <translation>Se usan las notas de prueba si las hay. No se envía nada; puede tardar de minutos a horas.</translation>
    </message>
    <message>
        <source>The base model and “{adapter}” answer for every note that has labels; both are scored.</source>
        <translation>El modelo base y «{adapter}» dan una respuesta para cada nota que tiene etiquetas; se puntúan los dos.</translation>
    </message>
    <message>
        <source>The base model answers for every note that has labels, and is scored.</source>
        <translation>El modelo base da una respuesta para cada nota que tiene etiquetas y se puntúa.</translation>
    </message>
</context>
<context>
    <name>ExperimentCharts</name>
    <message>
        <source>By round</source>
        <translation>Por ronda</translation>
    </message>
    <message>
        <source>By what was moved</source>
        <translation>Según lo transferido</translation>
    </message>
    <message>
        <source>Drift</source>
        <translation>Deriva</translation>
    </message>
    <message>
        <source>Loss</source>
        <translation>Pérdida</translation>
    </message>
    <message>
        <source>Loss by {moved}</source>
        <translation>Pérdida según {moved}</translation>
    </message>
    <message>
        <source>Rank</source>
        <translation>Rango</translation>
    </message>
    <message>
        <source>round {n}</source>
        <translation>ronda {n}</translation>
    </message>
    <message>
        <source>{score} by {moved}</source>
        <translation>{score} según {moved}</translation>
    </message>
    <message>
        <source>{unit} moved</source>
        <translation>{unit} transferidos</translation>
    </message>
</context>
<context>
    <name>ExperimentPage</name>
    <message>
        <source>Back to the Monitor</source>
        <translation>Volver a Seguimiento</translation>
    </message>
    <message>
        <source>Experiment: {name}</source>
        <translation>Experimento: {name}</translation>
    </message>
    <message>
        <source>Folder of an experiment</source>
        <translation>Carpeta de un experimento</translation>
    </message>
    <message>
        <source>Lines are means over seeds. Choose a method in the table to see it apart.</source>
        <translation>Las líneas son medias de las semillas. Elija un método en la tabla para verlo aparte.</translation>
    </message>
    <message>
        <source>Methods</source>
        <translation>Métodos</translation>
    </message>
    <message>
        <source>Methods compared</source>
        <translation>Métodos comparados</translation>
    </message>
    <message>
        <source>No cell of this experiment has one.</source>
        <translation>Ninguna celda de este experimento tiene uno.</translation>
    </message>
    <message>
        <source>No result</source>
        <translation>Sin resultado</translation>
    </message>
    <message>
        <source>Open another…</source>
        <translation>Abrir otro…</translation>
    </message>
    <message>
        <source>Setting: {title}</source>
        <translation>Configuración: {title}</translation>
    </message>
    <message>
        <source>Show all alike</source>
        <translation>Mostrar todos por igual</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Qué significan estos números</translation>
    </message>
    <message>
        <source>{method} stands out.</source>
        <translation>{method} está destacado.</translation>
    </message>
    <message>
        <source>{method} stands out; the dotted lines beside it are one standard deviation over seeds.</source>
        <translation>{method} está destacado; las líneas de puntos a su lado son una desviación típica entre semillas.</translation>
    </message>
</context>
<context>
    <name>FactsCard</name>
    <message>
        <source>This coordinator</source>
        <translation>Este coordinador</translation>
    </message>
</context>
<context>
    <name>FaultDialog</name>
    <message>
        <source>Copy details</source>
        <translation>Copiar los detalles</translation>
    </message>
    <message>
        <source>Details for the people who maintain the program</source>
        <translation>Detalles para quienes mantienen el programa</translation>
    </message>
    <message>
        <source>Show details</source>
        <translation>Mostrar los detalles</translation>
    </message>
    <message>
        <source>The details are in the log file, {path}</source>
        <translation>Los detalles están en el archivo de registro, {path}</translation>
    </message>
</context>
<context>
    <name>Field</name>
    <message>
        <source>Browse: {name}</source>
        <translation>Examinar: {name}</translation>
    </message>
    <message>
        <source>Browse…</source>
        <translation>Examinar…</translation>
    </message>
</context>
<context>
    <name>FilesCard</name>
    <message>
        <source>What is written</source>
        <translation>Lo que se escribe</translation>
    </message>
    <message>
        <source>federation.toml, which all sites agree on, and the adapter that the first round begins with: the same files that fedmed-desktop --new-federation writes. You can read the first one, and move both to a server.</source>
        <translation>federation.toml, lo que acuerdan todos los centros, y el adaptador con el que empieza la primera ronda: los mismos archivos que con fedmed-desktop --new-federation. Puede leer el primero, y llevar ambos a un servidor.</translation>
    </message>
</context>
<context>
    <name>FindingBox</name>
    <message>
        <source>I have seen this</source>
        <translation>Lo he visto</translation>
    </message>
    <message>
        <source>I have seen this: {finding}</source>
        <translation>Lo he visto: {finding}</translation>
    </message>
</context>
<context>
    <name>FindingsCard</name>
    <message>
        <source>All is well.</source>
        <translation>Todo está bien.</translation>
    </message>
    <message>
        <source>Looking… This takes some seconds; up to a minute where nothing answers.</source>
        <translation>Comprobando… Tarda unos segundos; hasta un minuto si no responde nada.</translation>
    </message>
</context>
<context>
    <name>FittingCard</name>
    <message>
        <source>A model for your own notes</source>
        <translation>Un modelo para sus propias notas</translation>
    </message>
    <message>
        <source>Fit again</source>
        <translation>Ajustar de nuevo</translation>
    </message>
    <message>
        <source>Fit it to our notes</source>
        <translation>Ajustarlo a nuestras notas</translation>
    </message>
    <message>
        <source>Progress of the fitting</source>
        <translation>Parte ya hecha del ajuste</translation>
    </message>
    <message>
        <source>Shares that were compared</source>
        <translation>Partes comparadas</translation>
    </message>
    <message>
        <source>What was compared</source>
        <translation>Lo que se ha comparado</translation>
    </message>
</context>
<context>
    <name>FormPanel</name>
    <message>
        <source>Advanced</source>
        <translation>Opciones avanzadas</translation>
    </message>
    <message>
        <source>Another model, in a folder of this computer</source>
        <translation>Otro modelo, en una carpeta de este ordenador</translation>
    </message>
    <message>
        <source>Confirm each new site</source>
        <translation>Confirmar cada centro nuevo</translation>
    </message>
    <message>
        <source>Every site sees this word above its pages.</source>
        <translation>Cada centro ve esta palabra encima de sus páginas.</translation>
    </message>
    <message>
        <source>How it goes</source>
        <translation>Cómo transcurre</translation>
    </message>
    <message>
        <source>It waits until you have compared six words by phone, which shows that nobody is in between.</source>
        <translation>Espera hasta que usted haya comparado con él seis palabras por teléfono: entonces no hay nadie en medio.</translation>
    </message>
    <message>
        <source>Language model</source>
        <translation>Modelo de lenguaje</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Comprobando…</translation>
    </message>
    <message>
        <source>Something above is not right yet.</source>
        <translation>Algo de lo anterior todavía no está bien.</translation>
    </message>
    <message>
        <source>Something above is still empty.</source>
        <translation>Algo de lo anterior sigue vacío.</translation>
    </message>
    <message>
        <source>The small model that comes with the program</source>
        <translation>El modelo pequeño que viene con el programa</translation>
    </message>
    <message>
        <source>What is learned</source>
        <translation>Lo que se aprende</translation>
    </message>
    <message>
        <source>What it is for</source>
        <translation>Para qué es</translation>
    </message>
    <message>
        <source>Where it is served</source>
        <translation>Dónde se aloja</translation>
    </message>
    <message>
        <source>Who can take part</source>
        <translation>Quién puede participar</translation>
    </message>
</context>
<context>
    <name>GuideDialog</name>
    <message>
        <source>Back</source>
        <translation>Atrás</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Guide</source>
        <translation>Guía</translation>
    </message>
    <message>
        <source>Pages of the guide</source>
        <translation>Páginas de la guía</translation>
    </message>
</context>
<context>
    <name>Header</name>
    <message>
        <source>Connected</source>
        <translation>Conectado</translation>
    </message>
    <message>
        <source>Connecting</source>
        <translation>Conectando</translation>
    </message>
    <message>
        <source>Demonstration</source>
        <translation>Demostración</translation>
    </message>
    <message>
        <source>Menu</source>
        <translation>Menú</translation>
    </message>
    <message>
        <source>Offline</source>
        <translation>Sin conexión</translation>
    </message>
    <message>
        <source>Refused</source>
        <translation>Rechazado</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>Prueba</translation>
    </message>
    <message>
        <source>this computer</source>
        <translation>este ordenador</translation>
    </message>
</context>
<context>
    <name>HelpedCard</name>
    <message>
        <source>What this means</source>
        <translation>Qué significa esto</translation>
    </message>
    <message>
        <source>What this means: {title}</source>
        <translation>Qué significa esto: {title}</translation>
    </message>
</context>
<context>
    <name>HistoryPage</name>
    <message>
        <source>As a table (CSV)…</source>
        <translation>Como tabla (CSV)…</translation>
    </message>
    <message>
        <source>Checked at {time}. {verdict}</source>
        <translation>Comprobado: {time}. {verdict}</translation>
    </message>
    <message>
        <source>Checking every entry…</source>
        <translation>Comprobando todas las entradas…</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Compare…</source>
        <translation>Comparar…</translation>
    </message>
    <message>
        <source>Entries of the record, the newest first</source>
        <translation>Entradas del registro, las más recientes primero</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Exportar</translation>
    </message>
    <message>
        <source>Export the record</source>
        <translation>Exportar el registro</translation>
    </message>
    <message>
        <source>History</source>
        <translation>Historial</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Unirse a una federación</translation>
    </message>
    <message>
        <source>Mark as reviewed…</source>
        <translation>Marcar como revisado…</translation>
    </message>
    <message>
        <source>None of {all} entries match.</source>
        <translation>Ninguna de {all} entradas coincide.</translation>
    </message>
    <message>
        <source>Nothing could be compared: neither record holds a hash of the other.</source>
        <translation>No se pudo comparar nada: ninguno de los dos registros guarda un hash del otro.</translation>
    </message>
    <message>
        <source>Nothing has been recorded yet</source>
        <translation>Todavía no se ha registrado nada</translation>
    </message>
    <message>
        <source>Once this site takes part in a federation, everything that the program does and you decide is written down here, and stays on this computer.</source>
        <translation>Cuando este centro participa en una federación, todo lo que hace el programa y lo que usted decide queda escrito aquí, y no sale de este ordenador.</translation>
    </message>
    <message>
        <source>Reading the record…</source>
        <translation>Leyendo el registro…</translation>
    </message>
    <message>
        <source>Records (*.sqlite *.json)</source>
        <translation>Registros (*.sqlite *.json)</translation>
    </message>
    <message>
        <source>Show everything</source>
        <translation>Mostrar todo</translation>
    </message>
    <message>
        <source>Signed, for others to check (JSON)…</source>
        <translation>Firmado, para que otros lo comprueben (JSON)…</translation>
    </message>
    <message>
        <source>The coordinator&apos;s audit.sqlite, or an export of it</source>
        <translation>El audit.sqlite del coordinador, o una exportación de él</translation>
    </message>
    <message>
        <source>To read on paper (PDF)…</source>
        <translation>Para leer en papel (PDF)…</translation>
    </message>
    <message>
        <source>Verify</source>
        <translation>Verificar</translation>
    </message>
    <message>
        <source>What this site did and decided, and when. Entries are added, never changed.</source>
        <translation>Qué hizo y decidió este centro, y cuándo. Las entradas se añaden, nunca se modifican.</translation>
    </message>
    <message>
        <source>With the coordinator&apos;s record, or an export of it</source>
        <translation>Con el registro del coordinador, o una exportación de él</translation>
    </message>
    <message>
        <source>Writing…</source>
        <translation>Escribiendo…</translation>
    </message>
</context>
<context>
    <name>HostStoryCard</name>
    <message>
        <source>What arrives here is what each site has approved: adapters, counts and scores. Never the words of notes.</source>
        <translation>Aquí llega lo que cada centro ha aprobado: adaptadores, recuentos y puntuaciones. Nunca las palabras de las notas.</translation>
    </message>
    <message>
        <source>What hosting means</source>
        <translation>Qué significa alojar</translation>
    </message>
    <message>
        <source>While a round is running, this computer must be switched on and sites must be able to reach it. It needs no GPU and no notes.</source>
        <translation>Este ordenador debe estar encendido y al alcance de los centros mientras haya una ronda en curso. No necesita GPU ni notas.</translation>
    </message>
    <message>
        <source>You invite each site with a line of text, a file or a QR code. Nobody else can join.</source>
        <translation>Usted invita a cada centro, con una línea, un archivo o un código QR. Nadie más puede entrar.</translation>
    </message>
</context>
<context>
    <name>HostingPage</name>
    <message>
        <source>A federation</source>
        <translation>Una federación</translation>
    </message>
    <message>
        <source>About hosting</source>
        <translation>Acerca del alojamiento</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Atrás</translation>
    </message>
    <message>
        <source>Decide what hospitals learn together. This computer then runs the rounds and combines the updates.</source>
        <translation>Decida qué aprenden juntos los hospitales. Este ordenador convoca después las rondas y combina lo aprendido.</translation>
    </message>
    <message>
        <source>Found the federation</source>
        <translation>Crear la federación</translation>
    </message>
    <message>
        <source>Host a federation</source>
        <translation>Alojar una federación</translation>
    </message>
    <message>
        <source>No longer look after it…</source>
        <translation>Dejar de gestionarla…</translation>
    </message>
    <message>
        <source>Reading the model, and writing…</source>
        <translation>Leyendo el modelo y escribiendo…</translation>
    </message>
    <message>
        <source>You are a host of this federation; another computer serves it.</source>
        <translation>Usted es anfitrión de esta federación; la aloja otro ordenador.</translation>
    </message>
    <message>
        <source>You host this federation, as a test.</source>
        <translation>Usted aloja esta federación, como prueba.</translation>
    </message>
    <message>
        <source>You host this federation.</source>
        <translation>Usted aloja esta federación.</translation>
    </message>
</context>
<context>
    <name>IdentityCard</name>
    <message>
        <source>Compare these six words with the host by phone</source>
        <translation>Compare estas seis palabras con el anfitrión por teléfono</translation>
    </message>
    <message>
        <source>They are the same</source>
        <translation>Son las mismas</translation>
    </message>
    <message>
        <source>They differ…</source>
        <translation>Son distintas…</translation>
    </message>
</context>
<context>
    <name>ImprovedCard</name>
    <message>
        <source>1 more type is in Monitor.</source>
        <translation>En Seguimiento hay 1 tipo más.</translation>
    </message>
    <message>
        <source>By type and for all sites</source>
        <translation>Por tipo y para todos los centros</translation>
    </message>
    <message>
        <source>Found correctly, of 100.</source>
        <translation>Aciertos de cada 100.</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Qué resultados da</translation>
    </message>
    <message>
        <source>Not known yet: scores appear here once this round&apos;s adapter has been trained.</source>
        <translation>Todavía se desconoce: las puntuaciones aparecen aquí cuando se haya entrenado el adaptador de esta ronda.</translation>
    </message>
    <message>
        <source>Points, of 100.</source>
        <translation>Puntos de 100.</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Qué significan estos números</translation>
    </message>
    <message>
        <source>{n} more types are in Monitor.</source>
        <translation>En Seguimiento hay {n} tipos más.</translation>
    </message>
</context>
<context>
    <name>InviteDialog</name>
    <message>
        <source>All numbers of this site stand under it.</source>
        <translation>Todos los números de este centro figuran bajo él.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Cancelar</translation>
    </message>
    <message>
        <source>It can be used for</source>
        <translation>Es válida durante</translation>
    </message>
    <message>
        <source>Make the invitation</source>
        <translation>Crear la invitación</translation>
    </message>
    <message>
        <source>Mercy General</source>
        <translation>Mercy General</translation>
    </message>
    <message>
        <source>Name of the site</source>
        <translation>Nombre del centro</translation>
    </message>
</context>
<context>
    <name>InvitedPanel</name>
    <message>
        <source>Copied</source>
        <translation>Copiado</translation>
    </message>
    <message>
        <source>Copy the line</source>
        <translation>Copiar la línea</translation>
    </message>
    <message>
        <source>Invitation</source>
        <translation>Invitación</translation>
    </message>
    <message>
        <source>QR code of the invitation of {site}</source>
        <translation>Código QR de la invitación de {site}</translation>
    </message>
    <message>
        <source>Save the QR code</source>
        <translation>Guardar el código QR</translation>
    </message>
    <message>
        <source>Save the QR code…</source>
        <translation>Guardar el código QR…</translation>
    </message>
    <message>
        <source>Save the file…</source>
        <translation>Guardar el archivo…</translation>
    </message>
    <message>
        <source>Save the invitation</source>
        <translation>Guardar la invitación</translation>
    </message>
    <message>
        <source>Saved as {path}.</source>
        <translation>Guardado como {path}.</translation>
    </message>
    <message>
        <source>Send the line, the file or the picture to {site}, by a way that nobody else reads: whoever has it can join as {site}. It works once, until {time}.</source>
        <translation>Envíe la línea, el archivo o la imagen a {site}, por una vía que nadie más lea: quien la tenga puede unirse como {site}. Sirve una vez, hasta {time}.</translation>
    </message>
    <message>
        <source>There they choose Join. Then compare six words by phone; if they differ, remove the site.</source>
        <translation>Allí eligen Unirse. Compare luego seis palabras por teléfono; si difieren, dé de baja el centro.</translation>
    </message>
    <message>
        <source>There they choose Join. Then they wait here, until you have compared six words and confirmed.</source>
        <translation>Allí eligen Unirse. Luego el centro espera aquí, hasta que usted haya comparado las seis palabras y confirmado.</translation>
    </message>
</context>
<context>
    <name>JoinPage</name>
    <message>
        <source>A small file that says which of the federation&apos;s types each of yours is.</source>
        <translation>Un pequeño archivo que indica a qué tipo de la federación corresponde cada uno de los suyos.</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>Atrás</translation>
    </message>
    <message>
        <source>Check before joining</source>
        <translation>Comprobar antes de unirse</translation>
    </message>
    <message>
        <source>Enter the invitation first; it says where the coordinator is.</source>
        <translation>Indique antes la invitación; dice dónde está el coordinador.</translation>
    </message>
    <message>
        <source>Everything except the types map is needed.</source>
        <translation>Hace falta todo menos la tabla de tipos.</translation>
    </message>
    <message>
        <source>Host one instead</source>
        <translation>Alojar una en su lugar</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Unirse</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Unirse a una federación</translation>
    </message>
    <message>
        <source>Look after it</source>
        <translation>Gestionarla</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Comprobando…</translation>
    </message>
    <message>
        <source>Model folder</source>
        <translation>Carpeta del modelo</translation>
    </message>
    <message>
        <source>Notes folder</source>
        <translation>Carpeta de las notas</translation>
    </message>
    <message>
        <source>Something above is not right yet.</source>
        <translation>Algo de lo anterior todavía no está bien.</translation>
    </message>
    <message>
        <source>Tests the connection to the coordinator and checks this computer. It tells the coordinator nothing about this site.</source>
        <translation>Prueba la conexión con el coordinador y comprueba este ordenador. No le dice al coordinador nada sobre este centro.</translation>
    </message>
    <message>
        <source>The agreed language model; its host gives you this folder.</source>
        <translation>El modelo de lenguaje acordado; el anfitrión le da esta carpeta.</translation>
    </message>
    <message>
        <source>Types map (optional)</source>
        <translation>Tabla de tipos (opcional)</translation>
    </message>
    <message>
        <source>Types maps (*.toml)</source>
        <translation>Tablas de tipos (*.toml)</translation>
    </message>
    <message>
        <source>What notes and models must look like</source>
        <translation>Cómo deben ser las notas y los modelos</translation>
    </message>
    <message>
        <source>Your annotated notes. They are only read, and stay there.</source>
        <translation>Sus notas, con sus anotaciones. Solo se leen, y se quedan ahí.</translation>
    </message>
    <message>
        <source>Your notes stay in their folder. Nothing learned from your notes leaves before you approve it.</source>
        <translation>Sus notas se quedan en su carpeta. Nada de lo aprendido de sus notas sale antes de que usted lo apruebe.</translation>
    </message>
</context>
<context>
    <name>LayerMap</name>
    <message>
        <source>Change by layer and round</source>
        <translation>Cambio por capa y ronda</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Capa por capa</translation>
    </message>
    <message>
        <source>Map of the change by layer and round</source>
        <translation>Mapa del cambio por capa y ronda</translation>
    </message>
    <message>
        <source>Show as map</source>
        <translation>Mostrar como mapa</translation>
    </message>
    <message>
        <source>Show as table</source>
        <translation>Mostrar como tabla</translation>
    </message>
    <message>
        <source>no change</source>
        <translation>sin cambio</translation>
    </message>
</context>
<context>
    <name>LayersCard</name>
    <message>
        <source>Layer by layer</source>
        <translation>Capa por capa</translation>
    </message>
    <message>
        <source>Layers are numbered from the input onwards. Norm: how large the change is. Click a heading to sort.</source>
        <translation>Las capas se numeran desde la entrada. Norma: lo grande que es el cambio. Haga clic en un encabezado para ordenar.</translation>
    </message>
</context>
<context>
    <name>LicencesCard</name>
    <message>
        <source>Licence</source>
        <translation>Licencia</translation>
    </message>
    <message>
        <source>Package</source>
        <translation>Paquete</translation>
    </message>
    <message>
        <source>Version</source>
        <translation>Versión</translation>
    </message>
</context>
<context>
    <name>Lines</name>
    <message>
        <source>Last values: {values}</source>
        <translation>Últimos valores: {values}</translation>
    </message>
</context>
<context>
    <name>MarkDialog</name>
    <message>
        <source>As it should appear in the record.</source>
        <translation>Tal como debe figurar en el registro.</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>Cancelar</translation>
    </message>
    <message>
        <source>Mark as reviewed</source>
        <translation>Marcar como revisado</translation>
    </message>
    <message>
        <source>Not needed. It stays on this computer, as the record does.</source>
        <translation>No es necesaria. Se queda en este ordenador, igual que el registro.</translation>
    </message>
    <message>
        <source>Remark</source>
        <translation>Observación</translation>
    </message>
    <message>
        <source>Your name</source>
        <translation>Su nombre</translation>
    </message>
</context>
<context>
    <name>Menu</name>
    <message>
        <source>Larger text</source>
        <translation>Texto más grande</translation>
    </message>
    <message>
        <source>Smaller text</source>
        <translation>Texto más pequeño</translation>
    </message>
    <message>
        <source>Usual text size</source>
        <translation>Tamaño de texto habitual</translation>
    </message>
</context>
<context>
    <name>MethodPicker</name>
    <message>
        <source>About this method</source>
        <translation>Acerca de este método</translation>
    </message>
    <message>
        <source>Method</source>
        <translation>Método</translation>
    </message>
</context>
<context>
    <name>ModelCard</name>
    <message>
        <source>Adapter: none; choose one to read with it</source>
        <translation>Adaptador: ninguno; elija uno para leer con él</translation>
    </message>
    <message>
        <source>Adapter: trained on public texts, comes with it</source>
        <translation>Adaptador: entrenado con textos públicos, viene incluido</translation>
    </message>
    <message>
        <source>Adapter: {name}</source>
        <translation>Adaptador: {name}</translation>
    </message>
    <message>
        <source>Choose adapter…</source>
        <translation>Elegir adaptador…</translation>
    </message>
    <message>
        <source>Choose model…</source>
        <translation>Elegir modelo…</translation>
    </message>
    <message>
        <source>Folder of a model</source>
        <translation>Carpeta de un modelo</translation>
    </message>
    <message>
        <source>Folder of an adapter</source>
        <translation>Carpeta de un adaptador</translation>
    </message>
    <message>
        <source>Model: the small one that comes with this program</source>
        <translation>Modelo: el pequeño que viene con este programa</translation>
    </message>
    <message>
        <source>Model: {name}</source>
        <translation>Modelo: {name}</translation>
    </message>
</context>
<context>
    <name>MonitorCards</name>
    <message>
        <source>Most memory used</source>
        <translation>Máximo de memoria usado</translation>
    </message>
    <message>
        <source>Sent / received</source>
        <translation>Enviado / recibido</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>Velocidad</translation>
    </message>
    <message>
        <source>Step size (learning rate)</source>
        <translation>Tamaño del paso (tasa de aprendizaje)</translation>
    </message>
</context>
<context>
    <name>MonitorControls</name>
    <message>
        <source>0.6</source>
        <translation>0.6</translation>
    </message>
    <message>
        <source>0.9</source>
        <translation>0.9</translation>
    </message>
    <message>
        <source>By step</source>
        <translation>Por paso</translation>
    </message>
    <message>
        <source>By time</source>
        <translation>Por tiempo</translation>
    </message>
    <message>
        <source>Compare with an earlier federation…</source>
        <translation>Comparar con una federación anterior…</translation>
    </message>
    <message>
        <source>Export</source>
        <translation>Exportar</translation>
    </message>
    <message>
        <source>Export picture or numbers</source>
        <translation>Exportar imagen o números</translation>
    </message>
    <message>
        <source>Follow</source>
        <translation>Seguir</translation>
    </message>
    <message>
        <source>Follow the newest step</source>
        <translation>Seguir el paso más reciente</translation>
    </message>
    <message>
        <source>None: the loss of every step</source>
        <translation>Ninguno: la pérdida de cada paso</translation>
    </message>
    <message>
        <source>Numbers (CSV)…</source>
        <translation>Números (CSV)…</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Abrir experimento…</translation>
    </message>
    <message>
        <source>Picture (PNG)…</source>
        <translation>Imagen (PNG)…</translation>
    </message>
    <message>
        <source>Show as table</source>
        <translation>Mostrar como tabla</translation>
    </message>
    <message>
        <source>Show everything, and new steps as they come. Panning or zooming turns this off.</source>
        <translation>Muestra todo lo que hay y lo que llega. Se desactiva al desplazar o ampliar.</translation>
    </message>
    <message>
        <source>Smoothing {weight}</source>
        <translation>Suavizado: {weight}</translation>
    </message>
    <message>
        <source>Stretch small values (log)</source>
        <translation>Ampliar los valores pequeños (log)</translation>
    </message>
    <message>
        <source>View</source>
        <translation>Vista</translation>
    </message>
    <message>
        <source>View of the charts</source>
        <translation>Vista de los gráficos</translation>
    </message>
    <message>
        <source>off</source>
        <translation>no</translation>
    </message>
    <message>
        <source>{text}, of the training loss</source>
        <translation>{text}, de la pérdida de entrenamiento</translation>
    </message>
</context>
<context>
    <name>MonitorPage</name>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>For long rounds that have closed, it contains evenly spaced steps only.</source>
        <translation>De las rondas largas ya cerradas contiene una selección uniforme de pasos.</translation>
    </message>
    <message>
        <source>Loss should go down, drift should stay low, and rank is how much can be learned. Opens the guide.</source>
        <translation>La pérdida debe bajar; la deriva debe mantenerse baja; el rango es cuánto se puede aprender. Abre la guía.</translation>
    </message>
    <message>
        <source>Monitor</source>
        <translation>Seguimiento</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Abrir experimento…</translation>
    </message>
    <message>
        <source>Save the charts as a picture</source>
        <translation>Guardar los gráficos como imagen</translation>
    </message>
    <message>
        <source>Save the numbers</source>
        <translation>Guardar los números</translation>
    </message>
    <message>
        <source>Saved as {path}</source>
        <translation>Guardado como {path}</translation>
    </message>
    <message>
        <source>Then → now, after round {n}</source>
        <translation>Entonces → ahora, tras la ronda {n}</translation>
    </message>
    <message>
        <source>What loss, drift and rank are</source>
        <translation>Qué son la pérdida, la deriva y el rango</translation>
    </message>
</context>
<context>
    <name>NavigationBar</name>
    <message>
        <source>Pages</source>
        <translation>Páginas</translation>
    </message>
</context>
<context>
    <name>NavigationButton</name>
    <message>
        <source>{page}, {count} waiting</source>
        <translation>{page}, {count} en espera</translation>
    </message>
</context>
<context>
    <name>NoteCard</name>
    <message>
        <source>&amp;Looks for</source>
        <translation>&amp;Busca</translation>
    </message>
    <message>
        <source>1 character</source>
        <translation>1 carácter</translation>
    </message>
    <message>
        <source>Change</source>
        <translation>Cambiar</translation>
    </message>
    <message>
        <source>Change note, types or model</source>
        <translation>Cambiar la nota, los tipos o el modelo</translation>
    </message>
    <message>
        <source>Note to read</source>
        <translation>Nota que leer</translation>
    </message>
    <message>
        <source>Paste a note here. It is read on this computer and not stored.</source>
        <translation>Pegue aquí una nota. Se lee en este ordenador y no se guarda en ningún sitio.</translation>
    </message>
    <message>
        <source>Types to look for</source>
        <translation>Tipos que buscar</translation>
    </message>
    <message>
        <source>{n} characters</source>
        <translation>{n} caracteres</translation>
    </message>
    <message>
        <source>{types} (this federation&apos;s types)</source>
        <translation>{types} (los tipos de esta federación)</translation>
    </message>
</context>
<context>
    <name>NotesChoice</name>
    <message>
        <source>Notes folder</source>
        <translation>Carpeta de las notas</translation>
    </message>
    <message>
        <source>There is no such folder on this computer.</source>
        <translation>No existe esa carpeta en este ordenador.</translation>
    </message>
    <message>
        <source>Your annotated notes. They are only read, and stay there.</source>
        <translation>Sus notas, con sus anotaciones. Solo se leen, y se quedan ahí.</translation>
    </message>
</context>
<context>
    <name>NotesPage</name>
    <message>
        <source>Check again</source>
        <translation>Volver a comprobar</translation>
    </message>
    <message>
        <source>Choose a file…</source>
        <translation>Elegir un archivo…</translation>
    </message>
    <message>
        <source>Choose a folder or a file of notes, to see what is in them and what needs a look. They are only read, and nothing leaves this computer.</source>
        <translation>Elija una carpeta o un archivo de notas para ver qué contienen y qué conviene mirar. Solo se leen, y nada sale de este ordenador.</translation>
    </message>
    <message>
        <source>Choose a folder…</source>
        <translation>Elegir una carpeta…</translation>
    </message>
    <message>
        <source>No notes yet</source>
        <translation>Todavía no hay notas</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>Notas</translation>
    </message>
    <message>
        <source>Open a file of notes</source>
        <translation>Abrir un archivo de notas</translation>
    </message>
    <message>
        <source>Open a folder of notes</source>
        <translation>Abrir una carpeta de notas</translation>
    </message>
    <message>
        <source>Other file…</source>
        <translation>Otro archivo…</translation>
    </message>
    <message>
        <source>Other folder…</source>
        <translation>Otra carpeta…</translation>
    </message>
    <message>
        <source>Shown on this screen only. Rows are named by file and number, their words are not shown.</source>
        <translation>Solo se muestra en esta pantalla. Las filas se indican por archivo y número; sus palabras no se muestran.</translation>
    </message>
    <message>
        <source>This site&apos;s notes</source>
        <translation>Las notas de este centro</translation>
    </message>
    <message>
        <source>This site&apos;s notes, as {federation} would use them: {folder}</source>
        <translation>Las notas de este centro, tal como las usaría {federation}: {folder}</translation>
    </message>
</context>
<context>
    <name>NotesReport</name>
    <message>
        <source>Columns of the table</source>
        <translation>Columnas de la tabla</translation>
    </message>
    <message>
        <source>Labels</source>
        <translation>Etiquetas</translation>
    </message>
    <message>
        <source>Length</source>
        <translation>Longitud</translation>
    </message>
    <message>
        <source>Notes that are nearly the same</source>
        <translation>Notas casi iguales</translation>
    </message>
    <message>
        <source>Noticed while reading</source>
        <translation>Visto durante la lectura</translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation>Números</translation>
    </message>
    <message>
        <source>Rows that cannot be used</source>
        <translation>Filas que no se pueden usar</translation>
    </message>
    <message>
        <source>What looks like identifiers</source>
        <translation>Lo que parece un identificador</translation>
    </message>
</context>
<context>
    <name>OutcomeView</name>
    <message>
        <source>Sent so far</source>
        <translation>Enviado hasta ahora</translation>
    </message>
</context>
<context>
    <name>PageView</name>
    <message>
        <source>Guide: {page}</source>
        <translation>Guía: {page}</translation>
    </message>
    <message>
        <source>Open this picture larger: {what}</source>
        <translation>Abrir esta imagen ampliada: {what}</translation>
    </message>
</context>
<context>
    <name>PairRow</name>
    <message>
        <source>{name}: this site {own}, federation {federation}</source>
        <translation>{name}: este centro {own}, federación {federation}</translation>
    </message>
</context>
<context>
    <name>PictureDialog</name>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
</context>
<context>
    <name>PolicyCard</name>
    <message>
        <source>How a policy is written</source>
        <translation>Cómo se escribe una política</translation>
    </message>
    <message>
        <source>It can only make the program stricter, and is changed in its file.</source>
        <translation>Solo puede hacer el programa más estricto, y se cambia en su archivo.</translation>
    </message>
</context>
<context>
    <name>PolicyLine</name>
    <message>
        <source>Second &amp;person (the name of their account)</source>
        <translation>Segunda &amp;persona (el nombre de su cuenta)</translation>
    </message>
    <message>
        <source>Second person</source>
        <translation>Segunda persona</translation>
    </message>
</context>
<context>
    <name>PolicyRow</name>
    <message>
        <source>{sentence} Set by your administrator.</source>
        <translation>{sentence} Lo estableció su administrador.</translation>
    </message>
</context>
<context>
    <name>PreviewCard</name>
    <message>
        <source>Note {n} of your folder</source>
        <translation>Nota {n} de su carpeta</translation>
    </message>
    <message>
        <source>Once a notes folder is chosen, three of its notes are shown here, with their entities marked.</source>
        <translation>Cuando se elija una carpeta de notas, aquí se muestran tres de ellas con sus entidades marcadas.</translation>
    </message>
    <message>
        <source>Reading your notes…</source>
        <translation>Leyendo sus notas…</translation>
    </message>
    <message>
        <source>Shown on this screen only; nothing is copied or sent.</source>
        <translation>Solo se muestra en esta pantalla; no se copia ni se envía nada.</translation>
    </message>
    <message>
        <source>Your notes, as training will see them</source>
        <translation>Sus notas, como las verá el entrenamiento</translation>
    </message>
    <message>
        <source>and {n} more types</source>
        <translation>y {n} tipos más</translation>
    </message>
</context>
<context>
    <name>ProxyCard</name>
    <message>
        <source>Only if the proxy wants one; the name is in its address. It is kept in this program&apos;s settings file, which only your account can read, but which is not encrypted.</source>
        <translation>Solo si el proxy la pide; el nombre está en su dirección. Se guarda en el archivo de ajustes de este programa, que solo su cuenta puede leer, pero que no está cifrado.</translation>
    </message>
    <message>
        <source>Password for the proxy</source>
        <translation>Contraseña del proxy</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>Proxy</translation>
    </message>
    <message>
        <source>The check below uses the proxy at once; taking part does from the next start of the program.</source>
        <translation>La comprobación de abajo usa el proxy enseguida; la participación, a partir del próximo inicio del programa.</translation>
    </message>
    <message>
        <source>“system”: as this computer&apos;s settings say. “none”: no proxy. Or the address of a proxy.</source>
        <translation>«system»: como digan los ajustes de este ordenador. «none»: sin proxy. O bien, la dirección de un proxy.</translation>
    </message>
</context>
<context>
    <name>Queue</name>
    <message>
        <source>Waiting updates</source>
        <translation>Actualizaciones en espera</translation>
    </message>
</context>
<context>
    <name>ReasonForm</name>
    <message>
        <source>&amp;Reason (kept in this site&apos;s record, never sent)</source>
        <translation>&amp;Motivo (queda en el registro, nunca se envía)</translation>
    </message>
    <message>
        <source>Hold</source>
        <translation>Dejar en espera</translation>
    </message>
    <message>
        <source>Keep on site</source>
        <translation>Conservar en el centro</translation>
    </message>
    <message>
        <source>Reason</source>
        <translation>Motivo</translation>
    </message>
    <message>
        <source>Send adapter</source>
        <translation>Enviar adaptador</translation>
    </message>
    <message>
        <source>Try it on a note</source>
        <translation>Probarlo con una nota</translation>
    </message>
    <message>
        <source>Your name</source>
        <translation>Su nombre</translation>
    </message>
    <message>
        <source>Your name, as it should appear in this site&apos;s record</source>
        <translation>Su nombre, tal como debe figurar en el registro de este centro</translation>
    </message>
</context>
<context>
    <name>Results</name>
    <message>
        <source>Pages that were found</source>
        <translation>Páginas encontradas</translation>
    </message>
</context>
<context>
    <name>RevealsCard</name>
    <message>
        <source>Hide numbers</source>
        <translation>Ocultar los números</translation>
    </message>
    <message>
        <source>Numbers</source>
        <translation>Números</translation>
    </message>
    <message>
        <source>What each of these means, and what it does not</source>
        <translation>Qué significa cada uno de estos datos, y qué no</translation>
    </message>
    <message>
        <source>What it may reveal</source>
        <translation>Qué puede revelar</translation>
    </message>
</context>
<context>
    <name>RoundsPage</name>
    <message>
        <source>Host a federation</source>
        <translation>Alojar una federación</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Unirse a una federación</translation>
    </message>
    <message>
        <source>No federation yet</source>
        <translation>Todavía no hay ninguna federación</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Ver una demostración</translation>
    </message>
    <message>
        <source>Train one model together with other sites. Your notes stay on this computer.</source>
        <translation>Entrene un modelo junto con otros centros. Sus notas se quedan en este ordenador.</translation>
    </message>
    <message>
        <source>Try a model</source>
        <translation>Probar un modelo</translation>
    </message>
</context>
<context>
    <name>RunCard</name>
    <message>
        <source>Stop</source>
        <translation>Detener</translation>
    </message>
</context>
<context>
    <name>SaveEvidence</name>
    <message>
        <source>Exactly what is decided on (JSON)…</source>
        <translation>Exactamente aquello sobre lo que se decide (JSON)…</translation>
    </message>
    <message>
        <source>Save evidence</source>
        <translation>Guardar constancia</translation>
    </message>
    <message>
        <source>Save the evidence</source>
        <translation>Guardar la constancia</translation>
    </message>
    <message>
        <source>Save the evidence on this update</source>
        <translation>Guardar constancia de esta actualización</translation>
    </message>
    <message>
        <source>Saved as {path}</source>
        <translation>Guardado como {path}</translation>
    </message>
    <message>
        <source>Saved as {path}. Its sha256 is in the record of the decision.</source>
        <translation>Guardado como {path}. Su sha256 figura en el registro de la decisión.</translation>
    </message>
    <message>
        <source>To read and print (PDF)…</source>
        <translation>Para leer e imprimir (PDF)…</translation>
    </message>
</context>
<context>
    <name>SaveResults</name>
    <message>
        <source>Marks for BRAT (a folder)…</source>
        <translation>Marcas para BRAT (una carpeta)…</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>Guardar</translation>
    </message>
    <message>
        <source>Save for other programs</source>
        <translation>Guardar para otros programas</translation>
    </message>
    <message>
        <source>Save what was found</source>
        <translation>Guardar lo encontrado</translation>
    </message>
    <message>
        <source>Saved as {path}. It contains the note&apos;s words: keep it only where the note itself may be kept.</source>
        <translation>Guardado como {path}. Contiene las palabras de la nota: consérvelo solo donde pueda estar la nota.</translation>
    </message>
    <message>
        <source>The adapter (a PEFT folder)…</source>
        <translation>El adaptador (una carpeta PEFT)…</translation>
    </message>
    <message>
        <source>The model with the adapter in it (a folder)…</source>
        <translation>El modelo con el adaptador integrado (una carpeta)…</translation>
    </message>
    <message>
        <source>What was found (JSON)…</source>
        <translation>Lo encontrado (JSON)…</translation>
    </message>
</context>
<context>
    <name>SavedLine</name>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
</context>
<context>
    <name>SearchRow</name>
    <message numerus="yes">
        <source>%n on this page</source>
        <translation>
            <numerusform>%n en esta página</numerusform>
            <numerusform>%n en esta página</numerusform>
        </translation>
    </message>
    <message>
        <source>Any time</source>
        <translation>Cualquier fecha</translation>
    </message>
    <message>
        <source>Decisions</source>
        <translation>Decisiones</translation>
    </message>
    <message>
        <source>End the search (Escape)</source>
        <translation>Terminar la búsqueda (Esc)</translation>
    </message>
    <message>
        <source>Everything</source>
        <translation>Todo</translation>
    </message>
    <message>
        <source>Failed or refused</source>
        <translation>Fallido o rechazado</translation>
    </message>
    <message>
        <source>Kind of entry</source>
        <translation>Clase de entrada</translation>
    </message>
    <message>
        <source>Last 12 months</source>
        <translation>Últimos 12 meses</translation>
    </message>
    <message>
        <source>Last 24 hours</source>
        <translation>Últimas 24 horas</translation>
    </message>
    <message>
        <source>Last 30 days</source>
        <translation>Últimos 30 días</translation>
    </message>
    <message>
        <source>Last 7 days</source>
        <translation>Últimos 7 días</translation>
    </message>
    <message>
        <source>Next place on this page (F3)</source>
        <translation>Siguiente aparición en esta página (F3)</translation>
    </message>
    <message>
        <source>Not reviewed yet</source>
        <translation>Sin revisar todavía</translation>
    </message>
    <message>
        <source>Previous place on this page (Shift+F3)</source>
        <translation>Aparición anterior en esta página (Mayús+F3)</translation>
    </message>
    <message>
        <source>Program and keys</source>
        <translation>Programa y claves</translation>
    </message>
    <message>
        <source>Search in the record</source>
        <translation>Buscar en el registro</translation>
    </message>
    <message>
        <source>Search the guide</source>
        <translation>Buscar en la guía</translation>
    </message>
    <message>
        <source>Search the guide (Ctrl+F)</source>
        <translation>Buscar en la guía (Ctrl+F)</translation>
    </message>
    <message>
        <source>Search: a name, a reason, a hash, 2026-11-29</source>
        <translation>Buscar: un nombre, un motivo, un hash, 2026-11-29</translation>
    </message>
    <message>
        <source>Taking part</source>
        <translation>Participación</translation>
    </message>
    <message>
        <source>The guide is in English: search for English words.</source>
        <translation>La guía está en inglés: busque palabras inglesas.</translation>
    </message>
    <message>
        <source>Time</source>
        <translation>Periodo</translation>
    </message>
    <message>
        <source>Training and rounds</source>
        <translation>Entrenamiento y rondas</translation>
    </message>
    <message>
        <source>{number} of {count} on this page</source>
        <translation>{number} de {count} en esta página</translation>
    </message>
</context>
<context>
    <name>ServedPanel</name>
    <message>
        <source>Coordinator</source>
        <translation>Coordinador</translation>
    </message>
    <message>
        <source>Host another federation</source>
        <translation>Alojar otra federación</translation>
    </message>
    <message>
        <source>Serve it again</source>
        <translation>Reanudar</translation>
    </message>
    <message>
        <source>Stop serving…</source>
        <translation>Detener…</translation>
    </message>
</context>
<context>
    <name>SettingsPage</name>
    <message>
        <source>A support bundle holds versions, settings and the end of the log, without notes, names of files or secrets. You see all of it before it is saved.</source>
        <translation>Un paquete de soporte contiene versiones, ajustes y el final del archivo de registro, sin notas, nombres de archivos ni secretos. Usted lo ve todo antes de que se guarde.</translation>
    </message>
    <message>
        <source>Check the connection</source>
        <translation>Comprobar la conexión</translation>
    </message>
    <message>
        <source>Checks the connection to the coordinator, disk, memory and secret key. It joins nothing.</source>
        <translation>Comprueba la conexión con el coordinador, el disco, la memoria y la clave secreta. No se une a nada.</translation>
    </message>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Help from others</source>
        <translation>Ayuda de otras personas</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>Comprobando…</translation>
    </message>
    <message>
        <source>Saved as {path}.</source>
        <translation>Guardado como {path}.</translation>
    </message>
    <message>
        <source>Secret key of this site</source>
        <translation>Clave secreta de este centro</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>Ajustes</translation>
    </message>
    <message>
        <source>Support bundle…</source>
        <translation>Paquete de soporte…</translation>
    </message>
    <message>
        <source>This computer has not joined a federation yet. Join checks the connection too.</source>
        <translation>Este ordenador todavía no se ha unido a ninguna federación. La página Unirse también comprueba la conexión.</translation>
    </message>
    <message>
        <source>What you choose here is kept on this computer. It applies at once, unless it says otherwise.</source>
        <translation>Lo que elija aquí se guarda en este ordenador. Se aplica enseguida, salvo que se indique otra cosa.</translation>
    </message>
</context>
<context>
    <name>SharedCard</name>
    <message>
        <source>Federation</source>
        <translation>Federación</translation>
    </message>
    <message>
        <source>Never: words of notes, labels, names of files, your name or your reasons.</source>
        <translation>Nunca: palabras de las notas, etiquetas, nombres de archivos, su nombre ni sus motivos.</translation>
    </message>
    <message>
        <source>Only after you approve, round by round: the adapter, and numbers such as counts and scores.</source>
        <translation>Solo después de que usted lo apruebe, ronda a ronda: el adaptador, y números como recuentos y puntuaciones.</translation>
    </message>
    <message>
        <source>This site</source>
        <translation>Este centro</translation>
    </message>
    <message>
        <source>This site compared with the federation</source>
        <translation>Este centro frente a la federación</translation>
    </message>
    <message>
        <source>What is shared</source>
        <translation>Qué se comparte</translation>
    </message>
    <message>
        <source>While you take part: this site&apos;s name and public key, the model&apos;s fingerprint, and how far a round is here.</source>
        <translation>Mientras participa: el nombre y la clave pública de este centro, la huella del modelo y lo avanzada que está aquí una ronda.</translation>
    </message>
</context>
<context>
    <name>SheetHead</name>
    <message>
        <source>Close</source>
        <translation>Cerrar</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>Copiado</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>Copiar</translation>
    </message>
    <message>
        <source>Copy the whole fingerprint (sha256)</source>
        <translation>Copiar la huella completa (sha256)</translation>
    </message>
    <message>
        <source>Fingerprint</source>
        <translation>Huella</translation>
    </message>
    <message>
        <source>Go to your decision</source>
        <translation>Ir a su decisión</translation>
    </message>
    <message>
        <source>To {address}</source>
        <translation>A {address}</translation>
    </message>
</context>
<context>
    <name>SheetView</name>
    <message>
        <source>Every number</source>
        <translation>Todos los números</translation>
    </message>
    <message>
        <source>Every number that leaves</source>
        <translation>Todos los números que salen</translation>
    </message>
    <message>
        <source>Fewer numbers</source>
        <translation>Menos números</translation>
    </message>
    <message>
        <source>For specialists</source>
        <translation>Para expertos</translation>
    </message>
    <message>
        <source>Hide every number</source>
        <translation>Ocultar todos los números</translation>
    </message>
    <message>
        <source>How it differs</source>
        <translation>En qué se diferencia</translation>
    </message>
    <message>
        <source>How well it works</source>
        <translation>Qué resultados da</translation>
    </message>
    <message>
        <source>Layer by layer</source>
        <translation>Capa por capa</translation>
    </message>
    <message>
        <source>Nothing else: no note text, no marked words, no person&apos;s name, no reason.</source>
        <translation>Nada más: ni texto de notas, ni palabras marcadas, ni nombres de personas, ni motivos.</translation>
    </message>
    <message>
        <source>Value</source>
        <translation>Valor</translation>
    </message>
    <message>
        <source>What drift and norm are</source>
        <translation>Qué son la deriva y la norma</translation>
    </message>
    <message>
        <source>What leaves</source>
        <translation>Qué sale</translation>
    </message>
    <message>
        <source>What stays here</source>
        <translation>Qué se queda aquí</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Qué significan estos números</translation>
    </message>
    <message>
        <source>What these words mean</source>
        <translation>Qué significan estas palabras</translation>
    </message>
</context>
<context>
    <name>SideCard</name>
    <message>
        <source>Choose adapter…</source>
        <translation>Elegir adaptador…</translation>
    </message>
    <message>
        <source>The note has not been read with this one yet.</source>
        <translation>La nota todavía no se ha leído con este.</translation>
    </message>
    <message>
        <source>What these numbers mean</source>
        <translation>Qué significan estos números</translation>
    </message>
    <message>
        <source>{side}: part of the note that is read</source>
        <translation>{side}: parte leída de la nota</translation>
    </message>
    <message>
        <source>{side}: read with</source>
        <translation>{side}: leído con</translation>
    </message>
    <message>
        <source>{side}: what was found</source>
        <translation>{side}: lo que se encontró</translation>
    </message>
</context>
<context>
    <name>SitesPanel</name>
    <message>
        <source>Begin without the others…</source>
        <translation>Empezar sin los demás…</translation>
    </message>
    <message>
        <source>Choose a site in the table first.</source>
        <translation>Elija primero un centro en la tabla.</translation>
    </message>
    <message>
        <source>Close the round…</source>
        <translation>Cerrar la ronda…</translation>
    </message>
    <message>
        <source>Confirm…</source>
        <translation>Confirmar…</translation>
    </message>
    <message>
        <source>End and publish…</source>
        <translation>Terminar y publicar…</translation>
    </message>
    <message>
        <source>Federation</source>
        <translation>Federación</translation>
    </message>
    <message>
        <source>Invite a site…</source>
        <translation>Invitar a un centro…</translation>
    </message>
    <message>
        <source>Invite anew…</source>
        <translation>Invitar de nuevo…</translation>
    </message>
    <message>
        <source>Open invitations</source>
        <translation>Invitaciones abiertas</translation>
    </message>
    <message>
        <source>Pause…</source>
        <translation>Pausar…</translation>
    </message>
    <message>
        <source>Remove…</source>
        <translation>Dar de baja…</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>Reanudar</translation>
    </message>
    <message>
        <source>Sites</source>
        <translation>Centros</translation>
    </message>
    <message>
        <source>Take back…</source>
        <translation>Retirar…</translation>
    </message>
    <message>
        <source>Wait no longer…</source>
        <translation>Dejar de esperar…</translation>
    </message>
</context>
<context>
    <name>SplitCard</name>
    <message>
        <source>Proposed split</source>
        <translation>División propuesta</translation>
    </message>
    <message>
        <source>Write the split…</source>
        <translation>Escribir la división…</translation>
    </message>
</context>
<context>
    <name>Stepper</name>
    <message>
        <source>All {count} steps are done</source>
        <translation>Los {count} pasos están hechos</translation>
    </message>
    <message>
        <source>Step {n} of {count} failed: {word}</source>
        <translation>Paso {n} de {count} fallido: {word}</translation>
    </message>
    <message>
        <source>Step {n} of {count}: {word}</source>
        <translation>Paso {n} de {count}: {word}</translation>
    </message>
    <message>
        <source>Steps of this round</source>
        <translation>Pasos de esta ronda</translation>
    </message>
</context>
<context>
    <name>StoryRow</name>
    <message>
        <source>The host invites you: with one line, a file, or a QR code. It works once.</source>
        <translation>El anfitrión le invita: con una línea, un archivo o un código QR. Sirve una sola vez.</translation>
    </message>
    <message>
        <source>You compare six words with the host by phone. If they match, nobody is intercepting the connection.</source>
        <translation>Usted compara seis palabras con el anfitrión por teléfono. Si coinciden, nadie está interceptando la conexión.</translation>
    </message>
    <message>
        <source>You enter it here, with the model and your notes, and join.</source>
        <translation>Usted la indica aquí, con el modelo y sus notas, y se une.</translation>
    </message>
</context>
<context>
    <name>SupportDialog</name>
    <message>
        <source>Cancel</source>
        <translation>Cancelar</translation>
    </message>
    <message>
        <source>Content of the support bundle</source>
        <translation>Contenido del paquete de soporte</translation>
    </message>
    <message>
        <source>Save the support bundle</source>
        <translation>Guardar el paquete de soporte</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>Guardar…</translation>
    </message>
</context>
<context>
    <name>TaskPanel</name>
    <message>
        <source>&amp;Answers</source>
        <translation>&amp;Respuestas</translation>
    </message>
    <message>
        <source>&amp;Question</source>
        <translation>&amp;Pregunta</translation>
    </message>
    <message>
        <source>&amp;Task</source>
        <translation>&amp;Tarea</translation>
    </message>
    <message>
        <source>Answers to choose from, with | between them</source>
        <translation>Respuestas entre las que elegir, separadas con |</translation>
    </message>
    <message>
        <source>Does the note say that …?</source>
        <translation>¿Dice la nota que…?</translation>
    </message>
    <message>
        <source>Question about the note</source>
        <translation>Pregunta sobre la nota</translation>
    </message>
    <message>
        <source>Task</source>
        <translation>Tarea</translation>
    </message>
</context>
<context>
    <name>TaskTicks</name>
    <message>
        <source>Tasks</source>
        <translation>Tareas</translation>
    </message>
</context>
<context>
    <name>Tray</name>
    <message>
        <source>Continue training</source>
        <translation>Continuar el entrenamiento</translation>
    </message>
    <message>
        <source>Open the window</source>
        <translation>Abrir la ventana</translation>
    </message>
    <message>
        <source>Pause training</source>
        <translation>Pausar el entrenamiento</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Salir</translation>
    </message>
</context>
<context>
    <name>TrialHead</name>
    <message>
        <source>All files (*)</source>
        <translation>Todos los archivos (*)</translation>
    </message>
    <message>
        <source>Ctrl+Enter</source>
        <translation>Ctrl+Intro</translation>
    </message>
    <message>
        <source>Escape</source>
        <translation>Esc</translation>
    </message>
    <message>
        <source>Examples</source>
        <translation>Ejemplos</translation>
    </message>
    <message>
        <source>Open a note</source>
        <translation>Abrir una nota</translation>
    </message>
    <message>
        <source>Open note…</source>
        <translation>Abrir nota…</translation>
    </message>
    <message>
        <source>Read note</source>
        <translation>Leer la nota</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>Detener</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>Deteniendo…</translation>
    </message>
    <message>
        <source>Text files (*.txt *.text *.md)</source>
        <translation>Archivos de texto (*.txt *.text *.md)</translation>
    </message>
    <message>
        <source>Try it</source>
        <translation>Probar</translation>
    </message>
</context>
<context>
    <name>TrialPage</name>
    <message>
        <source>Left side</source>
        <translation>Lado izquierdo</translation>
    </message>
    <message>
        <source>Read it with the base model as well, to compare</source>
        <translation>Leerla también con el modelo base, para comparar</translation>
    </message>
    <message>
        <source>Research demonstration. Not for diagnosis or treatment.</source>
        <translation>Demostración de investigación. No apta para el diagnóstico ni el tratamiento.</translation>
    </message>
    <message>
        <source>Right side</source>
        <translation>Lado derecho</translation>
    </message>
    <message>
        <source>The note has not been read with this one yet.</source>
        <translation>La nota todavía no se ha leído con este.</translation>
    </message>
    <message>
        <source>What this adapter finds is shown here.</source>
        <translation>Aquí se muestra lo que encuentra este adaptador.</translation>
    </message>
    <message>
        <source>What this model finds is shown here.</source>
        <translation>Aquí se muestra lo que encuentra este modelo.</translation>
    </message>
</context>
<context>
    <name>TypeButton</name>
    <message>
        <source>Show or hide these marks</source>
        <translation>Mostrar u ocultar estas marcas</translation>
    </message>
    <message>
        <source>{type}, {count} marked</source>
        <translation>{type}, {count} marcadas</translation>
    </message>
</context>
<context>
    <name>UsualReasons</name>
    <message>
        <source>Take as the reason: {reason}</source>
        <translation>Tomar como motivo: {reason}</translation>
    </message>
    <message>
        <source>Usual reasons</source>
        <translation>Motivos habituales</translation>
    </message>
</context>
<context>
    <name>VerdictCard</name>
    <message>
        <source>Check of the notes</source>
        <translation>Comprobación de las notas</translation>
    </message>
    <message>
        <source>Looking through the notes…</source>
        <translation>Revisando las notas…</translation>
    </message>
    <message>
        <source>Nothing could be read.</source>
        <translation>No se pudo leer nada.</translation>
    </message>
    <message>
        <source>{n} rows so far</source>
        <translation>{n} filas hasta ahora</translation>
    </message>
</context>
<context>
    <name>WelcomePage</name>
    <message>
        <source>Back</source>
        <translation>Atrás</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>Continuar</translation>
    </message>
    <message>
        <source>Finish</source>
        <translation>Terminar</translation>
    </message>
    <message>
        <source>Join</source>
        <translation>Unirse</translation>
    </message>
    <message>
        <source>Not now, take me to the program</source>
        <translation>Ahora no, ir al programa</translation>
    </message>
    <message>
        <source>Pages of the first run</source>
        <translation>Páginas del primer inicio</translation>
    </message>
    <message>
        <source>Skip this page</source>
        <translation>Omitir esta página</translation>
    </message>
    <message>
        <source>This computer</source>
        <translation>Este ordenador</translation>
    </message>
    <message>
        <source>What for</source>
        <translation>Para qué</translation>
    </message>
    <message>
        <source>Your notes</source>
        <translation>Sus notas</translation>
    </message>
</context>
<context>
    <name>WherePanel</name>
    <message>
        <source>A coordinator on this computer…</source>
        <translation>Un coordinador en este ordenador…</translation>
    </message>
    <message>
        <source>Coordinator&apos;s address</source>
        <translation>Dirección del coordinador</translation>
    </message>
    <message>
        <source>From a picture…</source>
        <translation>De una imagen…</translation>
    </message>
    <message>
        <source>Invitation</source>
        <translation>Invitación</translation>
    </message>
    <message>
        <source>Invitations (*{suffix} *.txt)</source>
        <translation>Invitaciones (*{suffix} *.txt)</translation>
    </message>
    <message>
        <source>Name of this site</source>
        <translation>Nombre de este centro</translation>
    </message>
    <message>
        <source>Of a coordinator that runs on this computer.</source>
        <translation>De un coordinador que funciona en este ordenador.</translation>
    </message>
    <message>
        <source>Once connected, Rounds shows six words. Compare them with the host by phone, at a number that you already have.</source>
        <translation>Una vez conectado, la página Rondas muestra seis palabras. Compárelas con el anfitrión por teléfono, llamando a un número que usted ya tenga.</translation>
    </message>
    <message>
        <source>Open a picture of the QR code</source>
        <translation>Abrir una imagen del código QR</translation>
    </message>
    <message>
        <source>Open an invitation</source>
        <translation>Abrir una invitación</translation>
    </message>
    <message>
        <source>Open file…</source>
        <translation>Abrir archivo…</translation>
    </message>
    <message>
        <source>Paste the host&apos;s line, or drop its file or a picture of its QR code anywhere on this page.</source>
        <translation>Pegue la línea del anfitrión, o suelte su archivo o una imagen de su código QR en cualquier parte de esta página.</translation>
    </message>
    <message>
        <source>Pictures ({kinds})</source>
        <translation>Imágenes ({kinds})</translation>
    </message>
    <message>
        <source>The coordinator sees it. It stays yours in this federation.</source>
        <translation>Lo ve el coordinador. Sigue siendo suyo en esta federación.</translation>
    </message>
    <message>
        <source>With an invitation…</source>
        <translation>Con una invitación…</translation>
    </message>
</context>
<context>
    <name>Window</name>
    <message>
        <source>End the demonstration…</source>
        <translation>Terminar la demostración…</translation>
    </message>
    <message>
        <source>Guide to this page</source>
        <translation>Guía de esta página</translation>
    </message>
    <message>
        <source>Host a federation…</source>
        <translation>Alojar una federación…</translation>
    </message>
    <message>
        <source>Open experiment…</source>
        <translation>Abrir experimento…</translation>
    </message>
    <message>
        <source>Open the log file</source>
        <translation>Abrir el archivo de registro</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>Salir</translation>
    </message>
    <message>
        <source>Settings…</source>
        <translation>Ajustes…</translation>
    </message>
    <message>
        <source>Stop taking part…</source>
        <translation>Dejar de participar…</translation>
    </message>
</context>
<context>
    <name>WorkStrip</name>
    <message>
        <source>Continue</source>
        <translation>Continuar</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>Pausar</translation>
    </message>
    <message>
        <source>Progress of the work on this computer</source>
        <translation>Progreso del trabajo en este ordenador</translation>
    </message>
    <message>
        <source>{headline} · not sent</source>
        <translation>{headline} · no enviado</translation>
    </message>
    <message>
        <source>{site}: {line}</source>
        <translation>{site}: {line}</translation>
    </message>
    <message>
        <source>{size} GB memory</source>
        <translation>{size} GB de memoria</translation>
    </message>
</context>
<context>
    <name>_Session</name>
    <message>
        <source>About {method}</source>
        <translation>Acerca de {method}</translation>
    </message>
    <message>
        <source>Deadlines</source>
        <translation>Plazos</translation>
    </message>
    <message>
        <source>Each model&apos;s score, out of 100, on test notes that were never trained on: all sites&apos; notes together, and each site&apos;s own.</source>
        <translation>La puntuación de cada modelo, sobre 100, en notas de prueba con las que nunca se entrenó: las de todos los centros juntos y las de cada centro.</translation>
    </message>
    <message>
        <source>It took {time}. The full report is {path}.</source>
        <translation>Tardó {time}. El informe completo es {path}.</translation>
    </message>
    <message>
        <source>Join a federation</source>
        <translation>Unirse a una federación</translation>
    </message>
    <message>
        <source>Results</source>
        <translation>Resultados</translation>
    </message>
    <message>
        <source>Scores of the demonstration</source>
        <translation>Puntuaciones de la demostración</translation>
    </message>
    <message>
        <source>See a demonstration</source>
        <translation>Ver una demostración</translation>
    </message>
    <message>
        <source>Six words</source>
        <translation>Seis palabras</translation>
    </message>
    <message>
        <source>Your rounds so far</source>
        <translation>Sus rondas hasta ahora</translation>
    </message>
</context>
<context>
    <name>errors</name>
    <message>
        <source>--shard-base splits the base model over the processes of one site, but only one process is running. Start it under torchrun, with --nproc-per-node and the number of GPUs.</source>
        <translation>--shard-base reparte el modelo base entre los procesos de un centro, pero solo hay un proceso en marcha. Inícielo con torchrun, con --nproc-per-node y el número de GPU.</translation>
    </message>
    <message>
        <source>A 4-bit base model needs the package bitsandbytes, which is not installed. Install fedmed-desktop[gpu], or continue without 4 bits.</source>
        <translation>Un modelo base de 4 bits necesita el paquete bitsandbytes, que no está instalado. Instale fedmed-desktop[gpu], o continúe sin 4 bits.</translation>
    </message>
    <message>
        <source>A base model in 4 bits cannot be split over several GPUs. Leave out --nf4 or --shard-base.</source>
        <translation>Un modelo base en 4 bits no se puede repartir entre varias GPU. Quite --nf4 o --shard-base.</translation>
    </message>
    <message>
        <source>A column cannot be {role}. Choose from: {known}.</source>
        <translation>Una columna no puede ser {role}. Elija entre: {known}.</translation>
    </message>
    <message>
        <source>A connection to {address} takes {milliseconds} ms.</source>
        <translation>Una conexión con {address} tarda {milliseconds} ms.</translation>
    </message>
    <message>
        <source>A coordinator is running with {path}. Check a backup instead, which --backup makes while it runs; or stop it first.</source>
        <translation>Un coordinador está en marcha con {path}. Compruebe en su lugar una copia de seguridad, que --backup crea mientras funciona; o deténgalo antes.</translation>
    </message>
    <message>
        <source>A note of {corpus} has no {what}, so the notes cannot be split by it. Choose another split.by.</source>
        <translation>Una nota de {corpus} no tiene {what}, así que las notas no se pueden dividir por ello. Elija otro split.by.</translation>
    </message>
    <message>
        <source>A piece of an adapter cannot be accepted: {reason}. The transfer starts again.</source>
        <translation>No se puede aceptar un fragmento de un adaptador: {reason}. La transferencia vuelve a empezar.</translation>
    </message>
    <message>
        <source>A question needs at least two answers to choose from. Write | between them.</source>
        <translation>Una pregunta necesita al menos dos respuestas entre las que elegir. Escriba | entre ellas.</translation>
    </message>
    <message>
        <source>A rule needs a reason: say in a few words why every update may be sent.</source>
        <translation>Una regla necesita un motivo: diga en pocas palabras por qué se puede enviar cada actualización.</translation>
    </message>
    <message>
        <source>A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing was taken from it. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation>Una firma ({purpose}) no es de la clave con huella {fingerprint}. No se tomó nada de ello. Si vuelve a ocurrir, avise al anfitrión: alguien puede estar modificando lo que se envía.</translation>
    </message>
    <message>
        <source>A signature ({purpose}) was not made by the key with fingerprint {fingerprint}. Nothing was taken from that message. If this happens again, tell the host: someone may be changing what is sent.</source>
        <translation>Una firma ({purpose}) no es de la clave con huella {fingerprint}. No se tomó nada de ese mensaje. Si vuelve a ocurrir, avise al anfitrión: alguien puede estar modificando lo que se envía.</translation>
    </message>
    <message>
        <source>A stored update of {sites} in round {round} is missing or damaged. The site is asked to send it again when it is connected.</source>
        <translation>Una actualización guardada de {sites} de la ronda {round} falta o está dañada. Se pide al centro que la envíe de nuevo cuando esté conectado.</translation>
    </message>
    <message>
        <source>All notes belong together, so they cannot be split into train and validation. Add notes of other patients or documents.</source>
        <translation>Todas las notas van juntas, así que no se pueden dividir en entrenamiento y validación. Añada notas de otros pacientes o documentos.</translation>
    </message>
    <message>
        <source>An invitation must say where sites find this coordinator. Give --public-address HOST:PORT, here or when you start the coordinator.</source>
        <translation>Una invitación debe decir dónde encuentran los centros a este coordinador. Indique --public-address HOST:PORT, aquí o al iniciar el coordinador.</translation>
    </message>
    <message>
        <source>An update from this site already counts in this round. A second one is not accepted.</source>
        <translation>Una actualización de este centro ya cuenta en esta ronda. No se acepta una segunda.</translation>
    </message>
    <message>
        <source>Another connection with the name {site} replaced this one. Run each site only once.</source>
        <translation>Otra conexión con el nombre {site} sustituyó a esta. Ejecute cada centro una sola vez.</translation>
    </message>
    <message>
        <source>Another fedmed-desktop has been writing to {path} for several seconds. Try again in a moment.</source>
        <translation>Otro fedmed-desktop lleva varios segundos escribiendo en {path}. Vuelva a intentarlo dentro de un momento.</translation>
    </message>
    <message>
        <source>Another fedmed-desktop has the folder {path} open. This one saves no settings and no log, and cannot take part in the other one&apos;s federation. Close one of them, or start with another --data-dir.</source>
        <translation>Otro fedmed-desktop tiene abierta la carpeta {path}. Este no guarda ajustes ni archivo de registro, y no puede participar en la federación del otro. Cierre uno de los dos, o inicie con otra --data-dir.</translation>
    </message>
    <message>
        <source>Another process of this site has ended or does not answer, so this one ends too. The other&apos;s last messages are above. Start torchrun again with the same --data-dir: training continues from its checkpoint.</source>
        <translation>Otro proceso de este centro ha terminado o no responde, así que este termina también. Los últimos mensajes del otro están arriba. Vuelva a iniciar torchrun con la misma --data-dir: el entrenamiento continúa desde su punto de control.</translation>
    </message>
    <message>
        <source>Another program answers at {address}, not a coordinator. Check the address and the port with the host.</source>
        <translation>En {address} responde otro programa, no un coordinador. Compruebe la dirección y el puerto con el anfitrión.</translation>
    </message>
    <message>
        <source>Another round has closed in the meantime, so there is a newer common adapter. Look at that one, then publish it.</source>
        <translation>Entretanto se ha cerrado otra ronda y su adaptador es ahora el común. Mírelo y publique ese.</translation>
    </message>
    <message>
        <source>Another site has already joined with the name {site}. Choose another --name, or use the data folder that this site joined with.</source>
        <translation>Otro centro ya se ha unido con el nombre {site}. Elija otro --name, o use la carpeta de datos con la que se unió este centro.</translation>
    </message>
    <message>
        <source>Both sides speak version {version} of the protocol.</source>
        <translation>Los dos lados hablan la versión {version} del protocolo.</translation>
    </message>
    <message>
        <source>Connections to {address} would not be encrypted. Only addresses of this computer, such as 127.0.0.1, are served without a certificate.</source>
        <translation>Las conexiones con {address} no irían cifradas. Sin certificado solo se sirven direcciones de este ordenador, como 127.0.0.1.</translation>
    </message>
    <message>
        <source>Differential privacy is computed by one process, and this site trains in several. Start it without torchrun.</source>
        <translation>La privacidad diferencial la calcula un solo proceso, y este centro entrena en varios. Inícielo sin torchrun.</translation>
    </message>
    <message>
        <source>Differential privacy needs numbers that do not overflow, and this GPU computes in float16. Train on a GPU with bfloat16, or on the CPU.</source>
        <translation>La privacidad diferencial necesita números que no se desborden, y esta GPU calcula en float16. Entrene en una GPU con bfloat16, o en la CPU.</translation>
    </message>
    <message>
        <source>Directions were not compared, as there are only {updates} updates: three are needed.</source>
        <translation>No se compararon direcciones, ya que solo hay {updates} actualizaciones: hacen falta tres.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be.</source>
        <translation>Cada centro entero queda oculto por la privacidad diferencial: épsilon {epsilon} (delta {delta}) en todas las rondas juntas; cuanto menor, mejor. Cada centro añade su parte del ruido a lo que enmascara, así que nadie lo ve sin él. Todos los centros cuentan igual. Con {sites} centros, el ruido de una ronda es unas {times} veces mayor de lo que puede ser la media de sus actualizaciones.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: expect to learn slowly, and little.</source>
        <translation>Cada centro entero queda oculto por la privacidad diferencial: épsilon {epsilon} (delta {delta}) en todas las rondas juntas; cuanto menor, mejor. Cada centro añade su parte del ruido a lo que enmascara, así que nadie lo ve sin él. Todos los centros cuentan igual. Con {sites} centros, el ruido de una ronda es unas {times} veces mayor de lo que puede ser la media de sus actualizaciones: cuente con aprender despacio, y poco.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. Each site adds its share of the noise to what it masks, so that nobody sees it without. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: most likely nothing would be learned.</source>
        <translation>Cada centro entero queda oculto por la privacidad diferencial: épsilon {epsilon} (delta {delta}) en todas las rondas juntas; cuanto menor, mejor. Cada centro añade su parte del ruido a lo que enmascara, así que nadie lo ve sin él. Todos los centros cuentan igual. Con {sites} centros, el ruido de una ronda es unas {times} veces mayor de lo que puede ser la media de sus actualizaciones: lo más probable es que no se aprendiera nada.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be.</source>
        <translation>Cada centro entero queda oculto por la privacidad diferencial: épsilon {epsilon} (delta {delta}) en todas las rondas juntas; cuanto menor, mejor. El coordinador añade el ruido y ve cada actualización tal como es. Todos los centros cuentan igual. Con {sites} centros, el ruido de una ronda es unas {times} veces mayor de lo que puede ser la media de sus actualizaciones.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: expect to learn slowly, and little.</source>
        <translation>Cada centro entero queda oculto por la privacidad diferencial: épsilon {epsilon} (delta {delta}) en todas las rondas juntas; cuanto menor, mejor. El coordinador añade el ruido y ve cada actualización tal como es. Todos los centros cuentan igual. Con {sites} centros, el ruido de una ronda es unas {times} veces mayor de lo que puede ser la media de sus actualizaciones: cuente con aprender despacio, y poco.</translation>
    </message>
    <message>
        <source>Each whole site is hidden by differential privacy: epsilon {epsilon} (delta {delta}) in all rounds together, the smaller the better. The coordinator adds the noise and sees every update as it is. All sites count the same. With {sites} sites the noise of a round is about {times} times as large as their mean update can be: most likely nothing would be learned.</source>
        <translation>Cada centro entero queda oculto por la privacidad diferencial: épsilon {epsilon} (delta {delta}) en todas las rondas juntas; cuanto menor, mejor. El coordinador añade el ruido y ve cada actualización tal como es. Todos los centros cuentan igual. Con {sites} centros, el ruido de una ronda es unas {times} veces mayor de lo que puede ser la media de sus actualizaciones: lo más probable es que no se aprendiera nada.</translation>
    </message>
    <message>
        <source>Files in the folder that are not read as notes: {count} ({names}). If they are notes, put them into a format that is read, or into a separate folder.</source>
        <translation>Archivos de la carpeta que no se leen como notas: {count} ({names}). Si son notas, póngalos en un formato que se lea, o en una carpeta aparte.</translation>
    </message>
    <message>
        <source>Files of the model in {path} changed while the program was about to load it. Start again; the program will then check the model again.</source>
        <translation>Los archivos del modelo en {path} cambiaron cuando el programa iba a cargarlo. Vuelva a empezar; el programa comprobará entonces el modelo de nuevo.</translation>
    </message>
    <message>
        <source>Give --bundle-in and --bundle-out together: the file that came from the host, and another file, which goes back.</source>
        <translation>Indique --bundle-in y --bundle-out juntas: el archivo que llegó del anfitrión y otro archivo, el que vuelve a él.</translation>
    </message>
    <message>
        <source>Give either an invitation or the address of a coordinator on this computer, not both.</source>
        <translation>Indique una invitación o la dirección de un coordinador en este ordenador, pero no las dos cosas.</translation>
    </message>
    <message>
        <source>Groups of nearly identical notes that are in more than one split: {count}. A model is then tested on what it was trained on, and its scores look too good. Move each group into one split.</source>
        <translation>Grupos de notas casi iguales que están en más de una división: {count}. Entonces un modelo se prueba con lo mismo con que se entrenó, y sus puntuaciones parecen demasiado buenas. Ponga cada grupo en una sola división.</translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for rank {rank}, but this site&apos;s limit is {cap} (--rank-cap). The site takes part again when the coordinator asks for a lower rank.</source>
        <translation>En la ronda {round} el coordinador pide el rango {rank}, pero el límite de este centro es {cap} (--rank-cap). El centro vuelve a participar cuando el coordinador pida un rango menor.</translation>
    </message>
    <message>
        <source>In round {round} the coordinator asks for something other than what the federation&apos;s specification says about {method}. Nothing is trained and nothing leaves this site. Tell the host of the federation; the coordinator and the sites must use the same program.</source>
        <translation>En la ronda {round} el coordinador pide algo distinto de lo que dice la especificación de la federación sobre {method}. No se entrena nada y nada sale de este centro. Avise al anfitrión de la federación; el coordinador y los centros deben usar el mismo programa.</translation>
    </message>
    <message>
        <source>It is not in a keyring because a coordinator must start without anybody signed in.</source>
        <translation>No está en un llavero porque un coordinador debe poder iniciarse sin que nadie haya iniciado sesión.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not answer in time when the key was made.</source>
        <translation>No está en un llavero porque el llavero no respondió a tiempo cuando se creó la clave.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring did not give back what was stored in it.</source>
        <translation>No está en un llavero porque el llavero no devolvió lo que se había guardado en él.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring refused to store it.</source>
        <translation>No está en un llavero porque el llavero se negó a guardarla.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the keyring was locked when the key was made.</source>
        <translation>No está en un llavero porque el llavero estaba bloqueado cuando se creó la clave.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the one of this account writes secrets as plain text or asks for a password in a terminal.</source>
        <translation>No está en un llavero porque el de esta cuenta escribe los secretos como texto sin cifrar o pide una contraseña en un terminal.</translation>
    </message>
    <message>
        <source>It is not in a keyring because the program was started without a screen.</source>
        <translation>No está en un llavero porque el programa se inició sin pantalla.</translation>
    </message>
    <message>
        <source>It is not in a keyring because this computer has none that can be used.</source>
        <translation>No está en un llavero porque este ordenador no tiene ninguno que se pueda usar.</translation>
    </message>
    <message>
        <source>It is the coordinator of the invitation (fingerprint {fingerprint}).</source>
        <translation>Es el coordinador de la invitación (huella {fingerprint}).</translation>
    </message>
    <message>
        <source>Models of up to about {number} billion weights. That is a guess from the memory; once you have chosen a model, the check on Join counts.</source>
        <translation>Modelos de hasta unos {number} mil millones de pesos. Es una estimación a partir de la memoria; cuando haya elegido un modelo, cuenta la comprobación de la página Unirse.</translation>
    </message>
    <message>
        <source>Models of up to about {number} million weights. That is a guess from the memory; once you have chosen a model, the check on Join counts.</source>
        <translation>Modelos de hasta unos {number} millones de pesos. Es una estimación a partir de la memoria; cuando haya elegido un modelo, cuenta la comprobación de la página Unirse.</translation>
    </message>
    <message>
        <source>Module {module} has different scales at different sites, so its factors cannot be averaged. Write combine = &quot;product&quot; in the federation&apos;s specification.</source>
        <translation>El módulo {module} tiene escalas distintas en distintos centros, así que sus factores no se pueden promediar. Escriba combine = &quot;product&quot; en la especificación de la federación.</translation>
    </message>
    <message>
        <source>Nearly identical notes: {count}, in {groups} groups. They count more than once in training; keep each group in one split.</source>
        <translation>Notas casi iguales a otra: {count}, en {groups} grupos. Cuentan más de una vez en el entrenamiento; mantenga cada grupo en una sola división.</translation>
    </message>
    <message>
        <source>No CUDA device was found. Check the driver, or train on the CPU.</source>
        <translation>No se encontró ningún dispositivo CUDA. Compruebe el controlador, o entrene en la CPU.</translation>
    </message>
    <message>
        <source>No GPU was found that the program can use. Training runs on the processor, which takes many times longer. Small models and the demonstration work well.</source>
        <translation>No se encontró ninguna GPU que el programa pueda usar. El entrenamiento se hace en el procesador, lo que lleva muchas veces más tiempo. Los modelos pequeños y la demostración funcionan bien.</translation>
    </message>
    <message>
        <source>No QR code can be made out in this picture. Take one that shows the whole code, sharp and straight from the front; or paste the line instead.</source>
        <translation>No se distingue ningún código QR en esta imagen. Use una que muestre el código completo, nítido y de frente; o pegue la línea.</translation>
    </message>
    <message>
        <source>No connection to {address} can be made. A firewall in between may be blocking it: ask the people who run this network to allow outgoing TCP connections to {host}, port {port}; or enter the proxy that they use.</source>
        <translation>No se puede establecer ninguna conexión con {address}. Puede que la bloquee un cortafuegos: pida a quienes administran esta red que permitan conexiones TCP salientes a {host}, puerto {port}; o indique el proxy que usan.</translation>
    </message>
    <message>
        <source>No coordinator answers on {address}. Start one, or give its --host and --port.</source>
        <translation>Ningún coordinador responde en {address}. Inicie uno, o indique su --host y su --port.</translation>
    </message>
    <message>
        <source>No coordinator has run with the folder {path}. Check --data-dir; or start the coordinator with it first.</source>
        <translation>Ningún coordinador ha funcionado con la carpeta {path}. Compruebe --data-dir; o inicie antes el coordinador con ella.</translation>
    </message>
    <message>
        <source>No corpus of the sites has labels for the task {task}. Add one that has, or leave the task out.</source>
        <translation>Ningún corpus de los centros tiene etiquetas para la tarea {task}. Añada uno que las tenga, o quite la tarea.</translation>
    </message>
    <message>
        <source>No encrypted connection to the coordinator at {address} could be made: {reason}. This site keeps trying.</source>
        <translation>No se logró una conexión cifrada con el coordinador en {address}: {reason}. Este centro lo sigue intentando.</translation>
    </message>
    <message>
        <source>No federation is known in {path}, or another program is using that folder. Name the folder of a site that took part, close the desktop that works with it, or use --federation, --adapter and --out.</source>
        <translation>No se conoce ninguna federación en {path}, u otro programa está usando esa carpeta. Indique la carpeta de un centro que haya participado, cierre el programa que la usa, o utilice --federation, --adapter y --out.</translation>
    </message>
    <message>
        <source>No format fits {name}: {seen}. These formats are read: {formats}.</source>
        <translation>Ningún formato corresponde a {name}: {seen}. Se leen estos formatos: {formats}.</translation>
    </message>
    <message>
        <source>No invitation was found here. An invitation is one line that begins with fedmed: and comes from the host.</source>
        <translation>Aquí no hay ninguna invitación. Es una línea que empieza por fedmed: y que da el anfitrión.</translation>
    </message>
    <message>
        <source>No proxy is used.</source>
        <translation>No se usa ningún proxy.</translation>
    </message>
    <message>
        <source>No round has been closed yet, so there is no adapter of this federation to publish.</source>
        <translation>Todavía no se ha cerrado ninguna ronda, así que esta federación no tiene aún un adaptador que publicar.</translation>
    </message>
    <message>
        <source>No site annotates {type}: each has notes of a corpus that does not, or has no such entity. Remove it from types, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation>Ningún centro anota {type}: cada uno tiene notas de un corpus que no lo hace, o no tiene ninguna entidad así. Quítelo de los tipos, o divida por &quot;corpus&quot; con tantos centros como corpus.</translation>
    </message>
    <message>
        <source>No site has the name {site}, and no fingerprint begins with it. --sites lists all of them.</source>
        <translation>Ningún centro se llama {site}, y ninguna huella empieza así. Con --sites los verá todos.</translation>
    </message>
    <message>
        <source>No type of entity is chosen. Choose at least one, such as drug.</source>
        <translation>No se ha elegido ningún tipo de entidad. Elija al menos uno, como drug.</translation>
    </message>
    <message>
        <source>No type of the experiment is annotated in all corpora of {site}. Add a type that all of them have, or split by &quot;corpus&quot; with as many sites as corpora.</source>
        <translation>Ningún tipo del experimento está anotado en todos los corpus de {site}. Añada un tipo que todos tengan, o divida por &quot;corpus&quot; con tantos centros como corpus.</translation>
    </message>
    <message>
        <source>No validation note has labels for {tasks}, so what is learned for this is never scored here. Add such notes to the validation notes.</source>
        <translation>Ninguna nota de validación tiene etiquetas para {tasks}, así que lo que se aprende de ello aquí nunca se puntúa. Añada notas de ese tipo a las de validación.</translation>
    </message>
    <message>
        <source>None of the columns of {name} is known to hold the notes&apos; text (found: {found}). Rename the column to text, or say which column holds the text.</source>
        <translation>No se sabe cuál de las columnas de {name} contiene el texto de las notas (encontradas: {found}). Cambie el nombre de la columna a text, o diga qué columna contiene el texto.</translation>
    </message>
    <message>
        <source>None of the training notes has labels for the federation&apos;s tasks ({tasks}), so there is nothing to learn. Check that the notes have them, such as answers for questions.</source>
        <translation>Ninguna de las notas de entrenamiento tiene etiquetas para las tareas de la federación ({tasks}), así que no hay nada que aprender. Compruebe que las notas las tienen, por ejemplo respuestas para las preguntas.</translation>
    </message>
    <message>
        <source>None of the types in these notes ({found}) is part of the federation, so nothing could be learned. Add a types map with rows such as Chemical = &quot;drug&quot;.</source>
        <translation>Ninguno de los tipos de estas notas ({found}) forma parte de la federación, así que no se podría aprender nada. Añada una tabla de tipos con filas como Chemical = &quot;drug&quot;.</translation>
    </message>
    <message>
        <source>None of the types in these notes is known to the federation. Found: {found}; the federation&apos;s types: {expected}. Add a types map.</source>
        <translation>La federación no conoce ninguno de los tipos de estas notas. Encontrados: {found}; tipos de la federación: {expected}. Añada una tabla de tipos.</translation>
    </message>
    <message>
        <source>None of the {notes} {split} notes has an entity of the federation&apos;s types, so there is nothing to learn or to score. Check that the notes are annotated, under a key that is read (keys that are not: {unread}), and that types.toml names their types.</source>
        <translation>Ninguna de las {notes} notas de {split} tiene una entidad de los tipos de la federación, así que no hay nada que aprender ni que puntuar. Compruebe que las notas están anotadas, bajo una clave que se lea (claves que no: {unread}), y que types.toml nombra sus tipos.</translation>
    </message>
    <message>
        <source>Norms were not compared, as only {updates} updates are known: three are needed.</source>
        <translation>No se compararon normas, ya que solo se conocen {updates} actualizaciones: hacen falta tres.</translation>
    </message>
    <message>
        <source>Notes with a part that is too long for {most} tokens and is left out: {count}. Ask the host for a larger max_tokens, or shorten the longest mentions.</source>
        <translation>Notas de las que una parte sigue siendo demasiado larga para {most} tokens y se omite: {count}. Pida al anfitrión un max_tokens mayor, o acorte las menciones más largas.</translation>
    </message>
    <message>
        <source>Notes with something that looks like an identifier of a patient: {count}. Look at the rows listed here, and remove what does not belong there.</source>
        <translation>Notas con algo que parece un identificador de un paciente: {count}. Mire las filas que se indican y quite lo que no deba estar ahí.</translation>
    </message>
    <message>
        <source>Notes without any label: {count}. A task learns from them only if they were annotated for it and nothing was found.</source>
        <translation>Notas sin ninguna etiqueta: {count}. Una tarea solo aprende de ellas si se anotaron para ella y no se encontró nada.</translation>
    </message>
    <message>
        <source>Nothing can be written in {path}. Choose another folder.</source>
        <translation>No se puede escribir en {path}. Elija otra carpeta.</translation>
    </message>
    <message>
        <source>Nothing can listen on port {port} of {address} here: {reason}. Give an address of this computer (0.0.0.0 for all of them), and a port from 1024 on.</source>
        <translation>Nada puede escuchar aquí en el puerto {port} de {address}: {reason}. Indique una dirección de este ordenador (0.0.0.0 para todas) y un puerto a partir de 1024.</translation>
    </message>
    <message>
        <source>Nothing is trained, because too little of the privacy budget is left: {spent} of epsilon {epsilon} is spent, and {steps} more steps would need so much noise that nothing could be learned. This site can take part with more notes, or in a federation with fewer rounds or steps, or with a larger epsilon.</source>
        <translation>No se entrena nada, porque queda muy poco del presupuesto de privacidad: se ha gastado {spent} de épsilon {epsilon}, y {steps} pasos más necesitarían tanto ruido que no se podría aprender nada. Este centro puede participar con más notas, o en una federación con menos rondas o pasos, o con un épsilon mayor.</translation>
    </message>
    <message>
        <source>Nothing leaves this site until the policy in {path} is right: {key}: {reason}.</source>
        <translation>Nada sale de este centro hasta que la política en {path} sea correcta: {key}: {reason}.</translation>
    </message>
    <message>
        <source>Nothing leaves this site: the policy in {path} cannot be read: {reason}. Correct that file.</source>
        <translation>Nada sale de este centro: la política en {path} no se puede leer: {reason}. Corrija ese archivo.</translation>
    </message>
    <message>
        <source>Nothing leaves this site: {path} is this computer&apos;s policy, and accounts other than the administrator&apos;s can change it. Make the administrator its owner, and let nobody else write to it or its folder.</source>
        <translation>Nada sale de este centro: {path} es la política de este ordenador, y la pueden modificar cuentas que no son la del administrador. Haga que pertenezca al administrador, y que nadie más pueda escribir en ella ni en su carpeta.</translation>
    </message>
    <message>
        <source>Only {free} is free for the folder {path}, and about {needed} is needed. Free some space, or choose a folder on another disk.</source>
        <translation>Solo hay {free} libres para la carpeta {path}, y hacen falta unos {needed}. Libere espacio, o elija una carpeta en otro disco.</translation>
    </message>
    <message>
        <source>Only {sites} sites have agreed on what is summed, and {least} are needed before it can be opened.</source>
        <translation>Solo {sites} centros han acordado qué se suma, y hacen falta {least} antes de que se pueda abrir.</translation>
    </message>
    <message>
        <source>Only {sites} sites mask together, and {least} are needed: from a sum of fewer, a single update could be worked out.</source>
        <translation>Solo {sites} centros enmascaran juntos, y hacen falta {least}: de una suma de menos se podría averiguar una actualización concreta.</translation>
    </message>
    <message>
        <source>Other accounts of this computer can read the secret key in {path}, so it is not used. If nobody else can have read it, make it private (chmod 600) and start again. Otherwise remove it together with identity.json; a site then needs a new invitation with a new key.</source>
        <translation>Otras cuentas de este ordenador pueden leer la clave secreta en {path}, así que no se usa. Si nadie más puede haberla leído, hágala privada (chmod 600) y vuelva a empezar. Si no, elimínela junto con identity.json; un centro necesita entonces una invitación nueva con una clave nueva.</translation>
    </message>
    <message>
        <source>Patients or documents in the training notes that are in the validation or test notes too: {count}. What is measured on those has no noise, so they would not be protected. Nothing is trained. Split the notes so that all of a patient&apos;s or a document&apos;s stay together (--check-notes NOTES --split-into FOLDER).</source>
        <translation>Pacientes o documentos de las notas de entrenamiento que también están en las de validación o de prueba: {count}. Lo que se mide en ellas no lleva ruido, así que no quedarían protegidos. No se entrena nada. Divida las notas de modo que todas las de un paciente o documento queden juntas (--check-notes NOTES --split-into FOLDER).</translation>
    </message>
    <message>
        <source>Port {port} and those after it are used by other programs on this computer. Choose another.</source>
        <translation>El puerto {port} y los siguientes los usan otros programas de este ordenador. Elija otro.</translation>
    </message>
    <message>
        <source>Port {port} is used by another program on this computer. Choose another, such as {free}.</source>
        <translation>El puerto {port} lo usa otro programa de este ordenador. Elija otro, como {free}.</translation>
    </message>
    <message>
        <source>Port {port} on {address} is already used by another program. Choose another with {option}.</source>
        <translation>El puerto {port} de {address} ya lo usa otro programa. Elija otro con {option}.</translation>
    </message>
    <message>
        <source>PySide6 {qt} crashes Python {python} within minutes, because it frees None. Install an earlier one: python -m pip install &quot;PySide6-Essentials&lt;6.12&quot;</source>
        <translation>PySide6 {qt} hace fallar Python {python} en pocos minutos, porque libera None. Instale una versión anterior: python -m pip install &quot;PySide6-Essentials&lt;6.12&quot;</translation>
    </message>
    <message>
        <source>Qt cannot start because these system libraries are missing: {libraries}. To install them: {how}</source>
        <translation>Qt no puede iniciarse porque faltan estas bibliotecas del sistema: {libraries}. Para instalarlas: {how}</translation>
    </message>
    <message>
        <source>Ray has {cores} cores, too few for {workers} workers with {threads} threads each. Ask for fewer --workers.</source>
        <translation>Ray tiene {cores} núcleos, muy pocos para {workers} procesos de trabajo con {threads} hilos cada uno. Pida menos --workers.</translation>
    </message>
    <message>
        <source>Reading {name} needs the package spacy, which is not installed. Install it with: pip install spacy</source>
        <translation>Para leer {name} hace falta el paquete spacy, que no está instalado. Instálelo con: pip install spacy</translation>
    </message>
    <message>
        <source>Round 1 cannot begin: {sites} of the {quorum} sites that a round needs have joined.</source>
        <translation>La ronda 1 no puede empezar: se han unido {sites} de los {quorum} centros que necesita una ronda.</translation>
    </message>
    <message>
        <source>Round {round} cannot be carried by removable medium: its updates are masked, and for that all sites exchange messages several times. Connect this site, or ask the host for a federation without secure aggregation.</source>
        <translation>La ronda {round} no se puede llevar en un soporte extraíble: sus actualizaciones van enmascaradas, y para eso todos los centros intercambian mensajes varias veces. Conecte este centro, o pida al anfitrión una federación sin agregación segura.</translation>
    </message>
    <message>
        <source>Round {round} cannot be closed: it has {updates} of the {quorum} updates that it needs.</source>
        <translation>La ronda {round} no se puede cerrar: tiene {updates} de las {quorum} actualizaciones que necesita.</translation>
    </message>
    <message>
        <source>Round {round} is closed, and only the sites can open the sum of its updates: {sites} of them are connected or have answered, and {least} are needed. It continues by itself once they are back.</source>
        <translation>La ronda {round} está cerrada, y solo los centros pueden abrir la suma de sus actualizaciones: {sites} de ellos están conectados o han respondido, y hacen falta {least}. Continúa sola cuando vuelvan.</translation>
    </message>
    <message>
        <source>Round {round} stopped twice because too few updates were sent. Read above what each site says, then start again.</source>
        <translation>La ronda {round} se detuvo dos veces porque se enviaron muy pocas actualizaciones. Lea arriba lo que dice cada centro y vuelva a empezar.</translation>
    </message>
    <message>
        <source>Row {row} of the table {table} in {path} has a value that is no longer allowed: {place}. The nearest allowed value is used instead.</source>
        <translation>La fila {row} de la tabla {table} en {path} tiene un valor que ya no se permite: {place}. En su lugar se usa el valor permitido más cercano.</translation>
    </message>
    <message>
        <source>Row {row} of {path} is not a note in the format of this corpus ({reason}). Use the original corpus.</source>
        <translation>La fila {row} de {path} no es una nota en el formato de este corpus ({reason}). Use el corpus original.</translation>
    </message>
    <message>
        <source>Rows that cannot be used: {count}. Correct or remove them; training stops at the first.</source>
        <translation>Filas que no se pueden usar: {count}. Corríjalas o elimínelas; el entrenamiento se detiene en la primera.</translation>
    </message>
    <message>
        <source>SOCKS proxies cannot be used. Give an HTTP proxy with --proxy or in Settings, or choose &quot;none&quot;.</source>
        <translation>No se pueden usar proxies SOCKS. Indique un proxy HTTP con --proxy o en Ajustes, o elija &quot;none&quot;.</translation>
    </message>
    <message>
        <source>Sites download the adapter of round {round} in full (float32), because its ranks differ from those of the adapter before it. There is nothing to do.</source>
        <translation>Los centros descargan entero (float32) el adaptador de la ronda {round}, porque sus rangos son distintos de los del adaptador anterior. No hay que hacer nada.</translation>
    </message>
    <message>
        <source>Sites download the adapter of round {round} in full (float32): in fewer bits it would have lost {percent} % of what the round changed, and the limit is {most} %. If that happens every round, choose a larger transfer.dtype, or take out transfer.down.</source>
        <translation>Los centros descargan entero (float32) el adaptador de la ronda {round}: con menos bits habría perdido el {percent}&#xa0;% de lo que cambió la ronda, y el límite es el {most}&#xa0;%. Si ocurre en todas las rondas, elija un transfer.dtype mayor, o quite transfer.down.</translation>
    </message>
    <message>
        <source>Some pieces of the notes are too long and are left out: {pieces}. They do not fit into {tokens} tokens, even when cut as small as makes sense; nothing is learned from them, and what they contain counts as missed. Shorten them, or ask the host for a larger max_tokens.</source>
        <translation>Algunos fragmentos de las notas son demasiado largos y se omiten: {pieces}. No caben en {tokens} tokens, ni cortados tan pequeños como tiene sentido; no se aprende nada de ellos, y lo que contienen cuenta como no encontrado. Acórtelos, o pida al anfitrión un max_tokens mayor.</translation>
    </message>
    <message>
        <source>Something stands between this site and the coordinator: the encryption key on the line is {found}, the coordinator&apos;s own is {expected}. Nothing was sent. If your network inspects encrypted traffic, ask its administrators to exempt this address.</source>
        <translation>Algo se interpone entre este centro y el coordinador: la clave de cifrado de la conexión es {found}, y la del coordinador es {expected}. No se envió nada. Si su red inspecciona el tráfico cifrado, pida a sus administradores que exceptúen esta dirección.</translation>
    </message>
    <message>
        <source>Something unexpected went wrong in the program ({kind}). Nothing was sent because of it. Start the program again; if this happens again, send the log file to the person who supports the program.</source>
        <translation>Algo inesperado falló en el programa ({kind}). No se envió nada a causa de ello. Vuelva a iniciar el programa; si ocurre de nuevo, envíe el archivo de registro a la persona que da soporte al programa.</translation>
    </message>
    <message>
        <source>That is a guess: the federation&apos;s own settings are not known before this site has joined. These are usual ones: batch size {batch}, up to {tokens} tokens per example, rank {rank}.</source>
        <translation>Es una estimación: los ajustes propios de la federación no se conocen antes de que este centro se una. Estos son los habituales: tamaño de lote {batch}, hasta {tokens} tokens por ejemplo, rango {rank}.</translation>
    </message>
    <message>
        <source>That is for the federation&apos;s own settings: batch size {batch}, up to {tokens} tokens per example, rank {rank}.</source>
        <translation>Es para los ajustes propios de la federación: tamaño de lote {batch}, hasta {tokens} tokens por ejemplo, rango {rank}.</translation>
    </message>
    <message>
        <source>The QR code in this picture is not an invitation&apos;s. Use the one that the host gave you.</source>
        <translation>El código QR de esta imagen no es el de una invitación. Use el que le dio el anfitrión.</translation>
    </message>
    <message>
        <source>The Ray engine needs Ray, which is not installed: pip install &apos;fedmed-desktop[cluster]&apos;. Or leave out --engine ray.</source>
        <translation>El motor Ray necesita Ray, que no está instalado: pip install &apos;fedmed-desktop[cluster]&apos;. O quite --engine ray.</translation>
    </message>
    <message>
        <source>The adapter contains no modules. Choose one that adapts at least one linear layer.</source>
        <translation>El adaptador no contiene ningún módulo. Elija uno que adapte al menos una capa lineal.</translation>
    </message>
    <message>
        <source>The adapter file {name} cannot be read: {reason}. Check the folder and its permissions.</source>
        <translation>El archivo de adaptador {name} no se puede leer: {reason}. Compruebe la carpeta y sus permisos.</translation>
    </message>
    <message>
        <source>The adapter has format version {version}; this program knows versions up to {known}. Update fedmed-desktop.</source>
        <translation>El adaptador tiene la versión de formato {version}; este programa conoce versiones hasta la {known}. Actualice fedmed-desktop.</translation>
    </message>
    <message>
        <source>The adapter has no module {name}. Use adapters made for the same base model.</source>
        <translation>El adaptador no tiene ningún módulo {name}. Use adaptadores hechos para el mismo modelo base.</translation>
    </message>
    <message>
        <source>The adapter has {size} bytes, but its tensors end at byte {expected}. Download it again.</source>
        <translation>El adaptador tiene {size} bytes, pero sus tensores terminan en el byte {expected}. Descárguelo de nuevo.</translation>
    </message>
    <message>
        <source>The adapter is incomplete: it has {size} bytes, but needs {expected}. Download it again.</source>
        <translation>El adaptador está incompleto: tiene {size} bytes, pero necesita {expected}. Descárguelo de nuevo.</translation>
    </message>
    <message>
        <source>The adapter that arrived is not the one that was approved: its sha256 is {found}, not {expected}.</source>
        <translation>El adaptador que llegó no es el que se aprobó: su sha256 es {found}, no {expected}.</translation>
    </message>
    <message>
        <source>The adapter {sha256} is not on this disk.</source>
        <translation>El adaptador {sha256} no está en este disco.</translation>
    </message>
    <message>
        <source>The adapter {sha256} of round {round} could not be rebuilt from its difference, so it is downloaded in full. Nothing is lost. If that happens every round, tell the host.</source>
        <translation>El adaptador {sha256} de la ronda {round} no se pudo reconstruir a partir de su diferencia, así que se descarga entero. No se pierde nada. Si ocurre en todas las rondas, avise al anfitrión.</translation>
    </message>
    <message>
        <source>The adapter {sha256}, which round {round} starts from, is missing or damaged. Copy the file of that name to {path} from a backup, or from the blobs folder of a site.</source>
        <translation>El adaptador {sha256}, del que parte la ronda {round}, falta o está dañado. Copie el archivo de ese nombre en {path} desde una copia de seguridad, o desde la carpeta blobs de un centro.</translation>
    </message>
    <message>
        <source>The adapter&apos;s bytes are not in the one form that fedmed-desktop writes, so its hash cannot be compared. Save it again with fedmed-desktop.</source>
        <translation>Los bytes del adaptador no tienen la única forma en que escribe fedmed-desktop, así que su hash no se puede comparar. Guárdelo de nuevo con fedmed-desktop.</translation>
    </message>
    <message>
        <source>The adapter&apos;s header claims {size} bytes; at most {limit} are allowed. The file is damaged or not a safetensors file; download it again.</source>
        <translation>La cabecera del adaptador declara {size} bytes; se permiten {limit} como máximo. El archivo está dañado o no es un archivo safetensors; descárguelo de nuevo.</translation>
    </message>
    <message>
        <source>The adapter&apos;s header is not valid: {reason}. The file is damaged or not a safetensors file; download it again.</source>
        <translation>La cabecera del adaptador no es válida: {reason}. El archivo está dañado o no es un archivo safetensors; descárguelo de nuevo.</translation>
    </message>
    <message>
        <source>The adapter&apos;s metadata were not written by fedmed-desktop: {reason}. Choose an adapter that fedmed-desktop wrote.</source>
        <translation>Los metadatos del adaptador no los escribió fedmed-desktop: {reason}. Elija un adaptador escrito por fedmed-desktop.</translation>
    </message>
    <message>
        <source>The adapter&apos;s module {name} is {found}, but the base model&apos;s layer is {expected}. Use the base model that the adapter was made for.</source>
        <translation>El módulo {name} del adaptador es {found}, pero la capa del modelo base es {expected}. Use el modelo base para el que se hizo el adaptador.</translation>
    </message>
    <message>
        <source>The adapter_config.json cannot be used: {reason}. Export the adapter again with PEFT.</source>
        <translation>No se puede usar el archivo adapter_config.json: {reason}. Exporte de nuevo el adaptador con PEFT.</translation>
    </message>
    <message>
        <source>The adapters do not adapt the same modules: {name} is in only one of them. Use adapters of the same federation.</source>
        <translation>Los adaptadores no adaptan los mismos módulos: {name} está solo en uno de ellos. Use adaptadores de la misma federación.</translation>
    </message>
    <message>
        <source>The administrator of this computer provides the secret key of the folder {path}, but did not at this start. Start the program as a service again, or name the key&apos;s file in FEDMED_SITE_KEY_FILE (for a coordinator: FEDMED_COORDINATOR_KEY_FILE).</source>
        <translation>El administrador de este ordenador proporciona la clave secreta de la carpeta {path}, pero no lo ha hecho en este inicio. Vuelva a iniciar el programa como servicio, o indique el archivo de la clave en FEDMED_SITE_KEY_FILE (para un coordinador: FEDMED_COORDINATOR_KEY_FILE).</translation>
    </message>
    <message>
        <source>The audit file {path} cannot be read: {reason}. Check the path and its permissions.</source>
        <translation>El archivo de auditoría {path} no se puede leer: {reason}. Compruebe la ruta y sus permisos.</translation>
    </message>
    <message>
        <source>The base model can read only {context} tokens at a time, which is too few for the task and a line of text. Choose another base model.</source>
        <translation>El modelo base solo puede leer {context} tokens a la vez, muy pocos para la tarea y una línea de texto. Elija otro modelo base.</translation>
    </message>
    <message>
        <source>The base model has no chat template. Choose one that has, or found the federation with --prompt plain.</source>
        <translation>El modelo base no tiene plantilla de chat. Elija uno que la tenga, o cree la federación con --prompt plain.</translation>
    </message>
    <message>
        <source>The base model has no linear layer {name}, which the adapter needs. Use the base model that the adapter was made for.</source>
        <translation>El modelo base no tiene la capa lineal {name} que necesita el adaptador. Use el modelo base para el que se hizo el adaptador.</translation>
    </message>
    <message>
        <source>The base model here has another chat template than the federation&apos;s. Copy tokenizer_config.json and chat_template.jinja from the host&apos;s model folder.</source>
        <translation>El modelo base de aquí tiene otra plantilla de chat que el de la federación. Copie tokenizer_config.json y chat_template.jinja de la carpeta del modelo del anfitrión.</translation>
    </message>
    <message>
        <source>The base model uses the adapter&apos;s module {name} in a way in which single notes cannot be told apart, so nobody can say how much one note changes. Nothing has left. Choose another base model, or a federation without differential privacy.</source>
        <translation>El modelo base usa el módulo {name} del adaptador de un modo que no permite distinguir notas sueltas, así que nadie puede decir cuánto cambia una nota. No ha salido nada. Elija otro modelo base, o una federación sin privacidad diferencial.</translation>
    </message>
    <message>
        <source>The base model&apos;s chat template cannot be used: {reason}. Choose another base model, or found the federation with --prompt plain.</source>
        <translation>No se puede usar la plantilla de chat del modelo base: {reason}. Elija otro modelo base, o cree la federación con --prompt plain.</translation>
    </message>
    <message>
        <source>The blob {sha256} does not belong to an approved update and may not leave this computer.</source>
        <translation>El blob {sha256} no pertenece a una actualización aprobada y no puede salir de este ordenador.</translation>
    </message>
    <message>
        <source>The certificate in {path} cannot be used with its key: {reason}. Check both files.</source>
        <translation>El certificado en {path} no se puede usar con su clave: {reason}. Compruebe los dos archivos.</translation>
    </message>
    <message>
        <source>The certificate in {path} expired on {date}. Get a new one from whoever issued it and start the coordinator again. Or give it none: it then makes its own.</source>
        <translation>El certificado en {path} caducó el {date}. Pida uno nuevo a quien lo emitió y vuelva a iniciar el coordinador. O no le dé ninguno: entonces crea el suyo propio.</translation>
    </message>
    <message>
        <source>The certificate in {path} is not valid before {date} UTC. Check this computer&apos;s clock.</source>
        <translation>El certificado en {path} no es válido antes del {date} UTC. Compruebe el reloj de este ordenador.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} has expired; this computer&apos;s clock says {clock} UTC. If the clock is right, ask the host to renew the certificate.</source>
        <translation>El certificado del coordinador en {address} ha caducado; el reloj de este ordenador marca {clock} UTC. Si el reloj está bien, pida al anfitrión que renueve el certificado.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is for another host name, so nothing was sent. Check the address with the host; if it is right, the host needs a certificate for it.</source>
        <translation>El certificado del coordinador en {address} es de otro nombre de equipo, así que no se envió nada. Compruebe la dirección con el anfitrión; si está bien, el anfitrión necesita un certificado para ella.</translation>
    </message>
    <message>
        <source>The certificate of the coordinator at {address} is not valid yet; this computer&apos;s clock says {clock} UTC. Set the clock right.</source>
        <translation>El certificado del coordinador en {address} todavía no es válido; el reloj de este ordenador marca {clock} UTC. Ponga el reloj en hora.</translation>
    </message>
    <message>
        <source>The computer at {address} accepts the connection but sends nothing. A firewall may be holding back WebSocket connections: ask the people who run this network to let them through.</source>
        <translation>El ordenador en {address} acepta la conexión, pero no envía nada. Puede que un cortafuegos retenga las conexiones WebSocket: pida a quienes administran esta red que las dejen pasar.</translation>
    </message>
    <message>
        <source>The computer at {host} answers, but no program listens on port {port}. Ask the host whether the coordinator is running, and whether the port is right.</source>
        <translation>El ordenador en {host} responde, pero ningún programa escucha en el puerto {port}. Pregunte al anfitrión si el coordinador está en marcha y si el puerto es correcto.</translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as chosen.</source>
        <translation>La conexión pasa por el proxy {proxy}, como se eligió.</translation>
    </message>
    <message>
        <source>The connection goes through the proxy {proxy}, as this computer&apos;s settings say.</source>
        <translation>La conexión pasa por el proxy {proxy}, como dicen los ajustes de este ordenador.</translation>
    </message>
    <message>
        <source>The connection is encrypted with {version}.</source>
        <translation>La conexión está cifrada con {version}.</translation>
    </message>
    <message>
        <source>The connection to {address} was cut off at once. Either the program there does not encrypt connections: check the address with the host. Or a firewall closes connections that it cannot inspect: ask the people who run this network not to inspect connections to this address.</source>
        <translation>La conexión con {address} se cortó enseguida. O el programa que hay allí no cifra las conexiones: compruebe la dirección con el anfitrión. O un cortafuegos cierra las conexiones que no puede inspeccionar: pida a quienes administran esta red que no inspeccionen las conexiones con esta dirección.</translation>
    </message>
    <message>
        <source>The connection to {address} was lost before the coordinator answered. Once it is back, check whether it was done; asking again does no harm.</source>
        <translation>La conexión con {address} se perdió antes de que el coordinador respondiera. Mire si se hizo, cuando vuelva la conexión; pedirlo otra vez no hace daño.</translation>
    </message>
    <message>
        <source>The control variate does not have the adapter&apos;s modules and ranks. Start a new federation with the same rank for all sites.</source>
        <translation>La variable de control no tiene los módulos y rangos del adaptador. Empiece una federación nueva con el mismo rango para todos los centros.</translation>
    </message>
    <message>
        <source>The coordinator already stores {held} bytes from this site in this round, and accepts at most {limit}. The site takes part again in the next round; if this happens again, tell the host.</source>
        <translation>El coordinador ya guarda {held} bytes de este centro en esta ronda, y no acepta más de {limit}. El centro vuelve a participar en la próxima ronda; si ocurre de nuevo, avise al anfitrión.</translation>
    </message>
    <message>
        <source>The coordinator asked for the steps of secure aggregation in the wrong order. Nothing was revealed.</source>
        <translation>El coordinador pidió los pasos de la agregación segura en un orden incorrecto. No se reveló nada.</translation>
    </message>
    <message>
        <source>The coordinator asks for a second masked update in round {round}. From two together what masks hide could be worked out. Nothing was sent anew; ask whoever hosts the federation.</source>
        <translation>El coordinador pide una segunda actualización enmascarada en la ronda {round}. De las dos juntas se podría averiguar lo que ocultan las máscaras. No se envió nada nuevo. Pregunte al anfitrión de la federación.</translation>
    </message>
    <message>
        <source>The coordinator asks for a second sum in the same round. This site takes part in another one, and from two together a single update could be worked out. Nothing was revealed.</source>
        <translation>El coordinador pide una segunda suma en la misma ronda. Este centro participa en otra, y de las dos juntas se podría averiguar una actualización concreta. No se reveló nada.</translation>
    </message>
    <message>
        <source>The coordinator at {address} closed the connection.</source>
        <translation>El coordinador en {address} cerró la conexión.</translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer to the name {host}. Ask the host to start it with --public-address {address}.</source>
        <translation>El coordinador en {address} no responde al nombre {host}. Pida al anfitrión que lo inicie con --public-address {address}.</translation>
    </message>
    <message>
        <source>The coordinator at {address} does not answer. Check that it is running; this site keeps trying.</source>
        <translation>El coordinador en {address} no responde. Compruebe que está en marcha; este centro lo sigue intentando.</translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections at the moment. This site keeps trying.</source>
        <translation>El coordinador en {address} tiene demasiadas conexiones en este momento. Este centro lo sigue intentando.</translation>
    </message>
    <message>
        <source>The coordinator at {address} has too many connections right now. Try again in a minute.</source>
        <translation>El coordinador en {address} tiene demasiadas conexiones ahora mismo. Vuelva a intentarlo dentro de un minuto.</translation>
    </message>
    <message>
        <source>The coordinator at {address}, or something in between, offers only outdated encryption. Ask IT whether a proxy or firewall opens encrypted connections.</source>
        <translation>El coordinador en {address}, o algo que hay en medio, solo ofrece un cifrado anticuado. Pregunte a informática si un proxy o un cortafuegos abre las conexiones cifradas.</translation>
    </message>
    <message>
        <source>The coordinator could not be started: {reason}.</source>
        <translation>No se pudo iniciar el coordinador: {reason}.</translation>
    </message>
    <message>
        <source>The coordinator could not carry out the command: {reason}. Its log says more.</source>
        <translation>El coordinador no pudo ejecutar la orden: {reason}. Su archivo de registro dice más.</translation>
    </message>
    <message>
        <source>The coordinator could not prove that it owns its key (fingerprint {found}). Nothing was sent. Tell the host.</source>
        <translation>El coordinador no pudo demostrar que posee su clave (huella {found}). No se envió nada. Avise al anfitrión.</translation>
    </message>
    <message>
        <source>The coordinator does not answer to the name in {address}. Ask its host to start it with --public-address {host}; this site keeps trying.</source>
        <translation>El coordinador no responde al nombre que figura en {address}. Pida a su anfitrión que lo inicie con --public-address {host}; este centro lo sigue intentando.</translation>
    </message>
    <message>
        <source>The coordinator has the fingerprint {fingerprint}. Only an invitation can tell whether it is the right coordinator: ask the host for one.</source>
        <translation>El coordinador tiene la huella {fingerprint}. Si es el correcto, solo puede decirlo una invitación: pida una al anfitrión.</translation>
    </message>
    <message>
        <source>The coordinator is at {address}, on this computer.</source>
        <translation>El coordinador está en {address}, en este ordenador.</translation>
    </message>
    <message>
        <source>The coordinator is at {address}; the connection is encrypted.</source>
        <translation>El coordinador está en {address}; la conexión está cifrada.</translation>
    </message>
    <message>
        <source>The coordinator names other keys for this site than the site has made. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>El coordinador comunica claves de este centro distintas de las que el centro ha creado. No se envió nada en esta ronda. Pregunte al anfitrión de la federación.</translation>
    </message>
    <message>
        <source>The coordinator names other sites than it did earlier in the same round. Nothing was revealed. Ask whoever hosts the federation.</source>
        <translation>El coordinador nombra otros centros que antes en la misma ronda. No se reveló nada. Pregunte al anfitrión de la federación.</translation>
    </message>
    <message>
        <source>The coordinator on this computer has the fingerprint {fingerprint}.</source>
        <translation>El coordinador de este ordenador tiene la huella {fingerprint}.</translation>
    </message>
    <message>
        <source>The coordinator sends only {speed} Mbit/s to this computer. With an adapter of {size} (rank {rank}), download and upload take about this many minutes per round: {minutes}. Tell the host, who can choose longer deadlines or a smaller rank; or use a faster connection.</source>
        <translation>El coordinador envía solo {speed} Mbit/s a este ordenador. Con un adaptador de {size} (rango {rank}), la descarga y el envío llevan más o menos estos minutos por ronda: {minutes}. Avise al anfitrión, que puede elegir plazos más largos o un rango menor; o use una conexión más rápida.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer.</source>
        <translation>El coordinador envía {speed} Mbit/s o más a este ordenador.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), download and upload take about this many minutes per round: {minutes}.</source>
        <translation>El coordinador envía {speed} Mbit/s o más a este ordenador. Con un adaptador de {size} (rango {rank}), la descarga y el envío llevan más o menos estos minutos por ronda: {minutes}.</translation>
    </message>
    <message>
        <source>The coordinator sends {speed} Mbit/s or more to this computer. With an adapter of {size} (rank {rank}), download and upload take less than a minute per round.</source>
        <translation>El coordinador envía {speed} Mbit/s o más a este ordenador. Con un adaptador de {size} (rango {rank}), la descarga y el envío llevan menos de un minuto por ronda.</translation>
    </message>
    <message>
        <source>The coordinator with the folder {path} stopped before it had carried out the command. Start it, and try again.</source>
        <translation>El coordinador con la carpeta {path} se detuvo antes de haber ejecutado la orden. Inícielo y vuelva a intentarlo.</translation>
    </message>
    <message>
        <source>The corpus {corpus} is not bundled. Give the folder that contains it with --data.</source>
        <translation>El corpus {corpus} no viene incluido. Indique con --data la carpeta que lo contiene.</translation>
    </message>
    <message>
        <source>The desktop needs {package}, which is not installed. In the checkout: python -m pip install &quot;.[desktop]&quot;</source>
        <translation>La aplicación de escritorio necesita {package}, que no está instalado. En la copia del repositorio: python -m pip install &quot;.[desktop]&quot;</translation>
    </message>
    <message>
        <source>The disk is full, so {path} cannot be written. Free some space; everything that was acknowledged is safe.</source>
        <translation>El disco está lleno, así que no se puede escribir {path}. Libere espacio; todo aquello de lo que se acusó recibo está a salvo.</translation>
    </message>
    <message>
        <source>The encoder in {path} cannot be loaded: {reason}. Choose the folder of a Hugging Face encoder, such as BERT, with safetensors and tokenizer.json.</source>
        <translation>El codificador en {path} no se puede cargar: {reason}. Elija la carpeta de un codificador de Hugging Face, como un BERT, con safetensors y tokenizer.json.</translation>
    </message>
    <message>
        <source>The entry of tensor {tensor} in the header is wrong: {reason}. The file is damaged; download it again.</source>
        <translation>La entrada del tensor {tensor} en la cabecera es errónea: {reason}. El archivo está dañado; descárguelo de nuevo.</translation>
    </message>
    <message>
        <source>The experiment has no method or baseline {label}. It has: {known}. Correct --only.</source>
        <translation>El experimento no tiene el método o la referencia {label}. Tiene: {known}. Corrija --only.</translation>
    </message>
    <message>
        <source>The experiment has no tuning_seeds. Add some to its file, or leave out --tuning.</source>
        <translation>El experimento no tiene tuning_seeds. Añada algunas a su archivo, o quite --tuning.</translation>
    </message>
    <message>
        <source>The experiment in {path} has format {found}; this program reads format {known}. Open it with the version of fedmed-desktop that wrote it.</source>
        <translation>El experimento en {path} tiene el formato {found}; este programa lee el formato {known}. Ábralo con la versión de fedmed-desktop que lo escribió.</translation>
    </message>
    <message>
        <source>The experiment {path} cannot be read: {reason}. Correct the file, which must be TOML.</source>
        <translation>El experimento {path} no se puede leer: {reason}. Corrija el archivo, que debe ser TOML.</translation>
    </message>
    <message>
        <source>The federation has finished already.</source>
        <translation>La federación ya ha terminado.</translation>
    </message>
    <message>
        <source>The federation has moved on to round {round}, attempt {attempt}. Look at it, then decide again.</source>
        <translation>La federación ha avanzado entretanto: está en la ronda {round}, intento {attempt}. Mírelo y decida de nuevo.</translation>
    </message>
    <message>
        <source>The federation is not paused.</source>
        <translation>La federación no está en pausa.</translation>
    </message>
    <message>
        <source>The federation is paused already. Resume it first.</source>
        <translation>La federación ya está en pausa. Reanúdela primero.</translation>
    </message>
    <message>
        <source>The federation protects patients, and some of this site&apos;s training notes do not say which patient they are of. Nothing is trained. Add the patient to each note, or ask the host for training.privacy.unit = &quot;note&quot;.</source>
        <translation>La federación protege a los pacientes, y algunas de las notas de entrenamiento de este centro no dicen de qué paciente son. No se entrena nada. Añada el paciente a cada nota, o pida al anfitrión training.privacy.unit = &quot;note&quot;.</translation>
    </message>
    <message>
        <source>The federation specification {path} cannot be read: {reason}.</source>
        <translation>La especificación de la federación {path} no se puede leer: {reason}.</translation>
    </message>
    <message>
        <source>The file {path} cannot be used: {reason}.</source>
        <translation>El archivo {path} no se puede usar: {reason}.</translation>
    </message>
    <message>
        <source>The first adapter {sha256} of this federation is not in {path}. Copy there the .safetensors file that --new-federation wrote beside the specification.</source>
        <translation>El primer adaptador {sha256} de esta federación no está en {path}. Copie allí el archivo .safetensors que --new-federation escribió junto a la especificación.</translation>
    </message>
    <message>
        <source>The folder {name} already has a {file}. Choose an empty folder for the notes.</source>
        <translation>La carpeta {name} ya tiene un {file}. Elija una carpeta vacía para las notas.</translation>
    </message>
    <message>
        <source>The folder {path} belongs to a federation with another specification. Choose another --data-dir, or use the specification that it was started with.</source>
        <translation>La carpeta {path} pertenece a una federación con otra especificación. Elija otra --data-dir, o use la especificación con la que se inició.</translation>
    </message>
    <message>
        <source>The folder {path} belongs to another account, which could take the secret key out of it. Choose another --data-dir, or sign in with that account.</source>
        <translation>La carpeta {path} pertenece a otra cuenta, que podría sacar de ella la clave secreta. Elija otra --data-dir, o inicie sesión con esa cuenta.</translation>
    </message>
    <message>
        <source>The folder {path} cannot be made: a file or a system folder is in its place. Choose another folder.</source>
        <translation>No se puede crear la carpeta {path}: en su lugar hay un archivo o una carpeta del sistema. Elija otra carpeta.</translation>
    </message>
    <message>
        <source>The folder {path} is in use by another fedmed-desktop. Close that one, or choose another --data-dir.</source>
        <translation>Otro fedmed-desktop está usando la carpeta {path}. Ciérrelo, o elija otra --data-dir.</translation>
    </message>
    <message>
        <source>The folder {path} is in use, but no coordinator there accepts commands: it may be an earlier version, or about to stop. Stop it and try again, or look at its log.</source>
        <translation>La carpeta {path} está en uso, pero allí ningún coordinador acepta órdenes: puede que sea una versión anterior, o que esté a punto de detenerse. Deténgalo y vuelva a intentarlo, o mire su archivo de registro.</translation>
    </message>
    <message>
        <source>The host has shut out {site}, or has let in another key under this name. If that is a mistake, ask the host for a new invitation.</source>
        <translation>El anfitrión ha excluido a {site}, o ha admitido otra clave con este nombre. Si es un error, pida al anfitrión una invitación nueva.</translation>
    </message>
    <message>
        <source>The invitation is for the site {invited}, not for {name}. Leave out --name.</source>
        <translation>La invitación es para el centro {invited}, no para {name}. Quite --name.</translation>
    </message>
    <message>
        <source>The invitation of {site} expired at {until}. Ask the host for a new one.</source>
        <translation>La invitación de {site} caducó: {until}. Pida una nueva al anfitrión.</translation>
    </message>
    <message>
        <source>The invitation of {site} has been used already; each one lets in one site, once. Join with the data folder that used it. If that was not you, tell the host at once, who can revoke {site}.</source>
        <translation>La invitación de {site} ya se usó; cada una admite a un solo centro, una sola vez. Únase con la carpeta de datos que la usó. Si no fue usted, avise enseguida al anfitrión, que puede revocar a {site}.</translation>
    </message>
    <message>
        <source>The key in {key} does not belong to the certificate in {path}. Give the key that the certificate was requested with.</source>
        <translation>La clave en {key} no pertenece al certificado en {path}. Indique la clave con la que se solicitó el certificado.</translation>
    </message>
    <message>
        <source>The key in {key} fits a certificate in {path}, but not the first one. Put the coordinator&apos;s own certificate first in the file, and those of the authorities after it.</source>
        <translation>La clave en {key} corresponde a un certificado en {path}, pero no al primero. Ponga en el archivo primero el certificado propio del coordinador y después los de las autoridades.</translation>
    </message>
    <message>
        <source>The key in {path} is locked with a password, and a coordinator that starts by itself cannot ask for one. Save the key without a password in a file that only this user can read.</source>
        <translation>La clave en {path} está protegida con contraseña, y un coordinador que se inicia solo no puede pedirla. Guarde la clave sin contraseña en un archivo que solo este usuario pueda leer.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}) no longer has the secret key of this data folder. Restore the keyring from a backup. If that is not possible, remove {path} and ask the host for a new invitation with a new key.</source>
        <translation>El llavero ({keyring}) ya no tiene la clave secreta de esta carpeta de datos. Restaure el llavero desde una copia de seguridad. Si no es posible, elimine {path} y pida al anfitrión una invitación nueva con una clave nueva.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, cannot be used right now. Check that it works for other programs, then try again.</source>
        <translation>El llavero ({keyring}) en el que está la clave secreta no se puede usar ahora mismo. Compruebe que funciona con otros programas y vuelva a intentarlo.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, does not answer. It may be waiting for its password in a window: enter it, then try again.</source>
        <translation>El llavero ({keyring}) en el que está la clave secreta no responde. Quizá espera su contraseña en una ventana: escríbala y vuelva a intentarlo.</translation>
    </message>
    <message>
        <source>The keyring ({keyring}), which holds the secret key, is locked. Unlock it, then try again.</source>
        <translation>El llavero ({keyring}) en el que está la clave secreta está bloqueado. Desbloquéelo y vuelva a intentarlo.</translation>
    </message>
    <message>
        <source>The keys that the coordinator names for {site} are not signed by {site} for this round. Nothing was sent in it. Ask whoever hosts the federation.</source>
        <translation>Las claves que el coordinador comunica de {site} no están firmadas por {site} para esta ronda. No se envió nada en ella. Pregunte al anfitrión de la federación.</translation>
    </message>
    <message>
        <source>The model file {path} is damaged: {reason}. Download the model again.</source>
        <translation>El archivo de modelo {path} está dañado: {reason}. Descargue el modelo de nuevo.</translation>
    </message>
    <message>
        <source>The model folder {path} also contains an adapter ({file}), which would be loaded unnoticed as part of the base model. Move the adapter&apos;s files to a separate folder.</source>
        <translation>La carpeta de modelo {path} contiene además un adaptador ({file}), que se cargaría como parte del modelo base sin que nadie lo notara. Ponga los archivos del adaptador en una carpeta aparte.</translation>
    </message>
    <message>
        <source>The model given with --score-with is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Give the model folder that the federation was made with.</source>
        <translation>El modelo indicado con --score-with no es el modelo base de la federación (huella {found}, se esperaba {expected}). Indique la carpeta del modelo con el que se hizo la federación.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: it cannot process text with adapters on its layers ({reason}). Choose another base model.</source>
        <translation>El modelo en {path} no se puede adaptar: con adaptadores en sus capas no puede procesar texto ({reason}). Elija otro modelo base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its layers have names like {name}, without the prefix of a whole model, so it was saved without its head. Choose the whole model, saved by transformers&apos; AutoModelForCausalLM.</source>
        <translation>El modelo en {path} no se puede adaptar: sus capas tienen nombres como {name}, sin el prefijo de un modelo completo, así que se guardó sin su cabeza. Elija el modelo completo, guardado con AutoModelForCausalLM de transformers.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: its weights are already quantised ({method}). Choose the same model with 16- or 32-bit weights; each site may still load it in 4 bits (--nf4).</source>
        <translation>El modelo en {path} no se puede adaptar: sus pesos ya están cuantizados ({method}). Elija el mismo modelo con pesos de 16 o 32 bits; cada centro puede cargarlo igualmente en 4 bits (--nf4).</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: the layers of {kind} models are of the type Conv1D instead of linear layers (torch&apos;s Linear). Choose another base model.</source>
        <translation>El modelo en {path} no se puede adaptar: las capas de los modelos {kind} son del tipo Conv1D en lugar de capas lineales (Linear de torch). Elija otro modelo base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models have an encoder and a decoder. Choose a causal language model, which continues a text.</source>
        <translation>El modelo en {path} no se puede adaptar: los modelos {kind} tienen un codificador y un decodificador. Elija un modelo de lenguaje causal, que continúa un texto.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models keep what they have read in an internal state of a special kind, which this program cannot continue from when it scores notes. Choose a base model with attention, such as Llama, Qwen, Gemma, Mistral, Phi or Granite.</source>
        <translation>El modelo en {path} no se puede adaptar: los modelos {kind} guardan lo que han leído en un estado interno de una clase especial, desde el que este programa no puede continuar cuando puntúa notas. Elija un modelo base con atención, como Llama, Qwen, Gemma, Mistral, Phi o Granite.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models read text in both directions, so during training they would see the answer that they should learn. Choose a causal language model, which continues a text.</source>
        <translation>El modelo en {path} no se puede adaptar: los modelos {kind} leen el texto en ambos sentidos, de modo que durante el entrenamiento verían la respuesta que deben aprender. Elija un modelo de lenguaje causal, que continúa un texto.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {kind} models use the same layers in several places. Choose another base model.</source>
        <translation>El modelo en {path} no se puede adaptar: los modelos {kind} usan las mismas capas en varios lugares. Elija otro modelo base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is not a linear layer once the model is loaded ({found}). Choose another base model.</source>
        <translation>El modelo en {path} no se puede adaptar: {name} no es una capa lineal una vez cargado el modelo ({found}). Elija otro modelo base.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be adapted: {name} is {found} in its files, but its config.json makes it {expected}. Download the model again, or choose another.</source>
        <translation>El modelo en {path} no se puede adaptar: {name} es {found} en sus archivos, pero según su config.json es {expected}. Descargue el modelo de nuevo, o elija otro.</translation>
    </message>
    <message>
        <source>The model in {path} cannot be loaded: {reason}. Choose the folder of a language model that this version supports, in Hugging Face&apos;s format.</source>
        <translation>El modelo en {path} no se puede cargar: {reason}. Elija la carpeta de un modelo de lenguaje que esta versión admita, en el formato de Hugging Face.</translation>
    </message>
    <message>
        <source>The model in {path} comes with its own code, which is never run. Choose a model that the transformers library supports by itself.</source>
        <translation>El modelo en {path} trae su propio código, que nunca se ejecuta. Elija un modelo que la biblioteca transformers admita por sí misma.</translation>
    </message>
    <message>
        <source>The model in {path} has no linear layers inside decoder blocks, so it cannot be adapted. Choose another base model.</source>
        <translation>El modelo en {path} no tiene capas lineales dentro de bloques decodificadores, así que no se puede adaptar. Elija otro modelo base.</translation>
    </message>
    <message>
        <source>The model in {path} is incomplete: {file} is missing, which its index names. Download the model again.</source>
        <translation>El modelo en {path} está incompleto: falta {file}, que su índice nombra. Descargue el modelo de nuevo.</translation>
    </message>
    <message>
        <source>The model in {path} is kept in few bits, and no adapter can be merged into that. Save the adapter as a PEFT folder, or choose the whole model.</source>
        <translation>El modelo en {path} está guardado con pocos bits y no se puede fusionar en él ningún adaptador. Guarde el adaptador como carpeta PEFT o elija el modelo completo.</translation>
    </message>
    <message>
        <source>The model in {path} names its layers in its files otherwise than once it is loaded, so torch is needed to found a federation on it. Install fedmed-desktop[site] on this computer, or found the federation on a computer that has it and copy the folder.</source>
        <translation>Las capas del modelo en {path} tienen en sus archivos nombres distintos de los que tienen una vez cargado, así que hace falta torch para crear una federación con él. Instale fedmed-desktop[site] en este ordenador, o cree la federación en uno que lo tenga y copie la carpeta.</translation>
    </message>
    <message>
        <source>The model {model} is neither a folder nor in this computer&apos;s cache. Check the path; or, if it is the id of a model, download it once with: hf download {model}</source>
        <translation>El modelo {model} no es una carpeta ni está en la caché de este equipo. Compruebe la ruta; o, si es el identificador de un modelo, descárguelo una vez con: hf download {model}</translation>
    </message>
    <message>
        <source>The model&apos;s loss {moment} is not a number: training has diverged, here or at another site. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>La pérdida del modelo ({moment}) no es un número: el entrenamiento ha divergido, aquí o en otro centro. Pida al anfitrión del coordinador una tasa de aprendizaje menor.</translation>
    </message>
    <message>
        <source>The module {name} has shape {left} in one adapter and {right} in another. Use adapters made for the same base model.</source>
        <translation>El módulo {name} tiene la forma {left} en un adaptador y {right} en otro. Use adaptadores hechos para el mismo modelo base.</translation>
    </message>
    <message>
        <source>The name {host} is known: {found}.</source>
        <translation>El nombre {host} se conoce: {found}.</translation>
    </message>
    <message>
        <source>The name {host} is not known here. Check its spelling and this computer&apos;s network. If the name is known only inside a hospital or a VPN, connect to that first, or ask the host for the numeric address.</source>
        <translation>El nombre {host} no se conoce aquí. Compruebe cómo está escrito y la red de este ordenador; si el nombre solo se conoce dentro de un hospital o una VPN, conéctese antes a ella, o pida al anfitrión la dirección en números.</translation>
    </message>
    <message>
        <source>The notes are not split into train, validation and test. A split that keeps patients, documents and near-duplicates together is proposed; --split-into FOLDER writes it.</source>
        <translation>Las notas no están divididas en entrenamiento, validación y prueba. Se propone una división que mantiene juntos pacientes, documentos y notas casi iguales; --split-into FOLDER la escribe.</translation>
    </message>
    <message>
        <source>The notes file {name} cannot be read: {reason}. Choose another file, or repair this one; text files may be compressed with gzip if their name ends in .gz.</source>
        <translation>El archivo de notas {name} no se puede leer: {reason}. Elija otro archivo, o corrija este; los archivos de texto pueden estar comprimidos con gzip si su nombre termina en .gz.</translation>
    </message>
    <message>
        <source>The notes file {name} cannot be used: {reason}. Correct or remove it and try again.</source>
        <translation>El archivo de notas {name} no se puede usar: {reason}. Corríjalo o elimínelo y vuelva a intentarlo.</translation>
    </message>
    <message>
        <source>The notes file {name} does not exist. Check its name and folder.</source>
        <translation>El archivo de notas {name} no existe. Compruebe su nombre y su carpeta.</translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. Correct this row and try again.</source>
        <translation>El archivo de notas {name} tiene un error en la fila {row}: {reason}. Corrija esta fila y vuelva a intentarlo.</translation>
    </message>
    <message>
        <source>The notes file {name} has an error in row {row}: {reason}. More rows with an error: {more}. Correct them and try again; this lists them all: fedmed-desktop --check-notes</source>
        <translation>El archivo de notas {name} tiene un error en la fila {row}: {reason}. Otras filas con error: {more}. Corríjalas y vuelva a intentarlo; esto las enumera todas: fedmed-desktop --check-notes</translation>
    </message>
    <message>
        <source>The notes folder {name} has both {first} and {second}. Remove the one that you do not want to use.</source>
        <translation>La carpeta de notas {name} tiene a la vez {first} y {second}. Elimine el que no quiera usar.</translation>
    </message>
    <message>
        <source>The notes folder {name} has no {split}.jsonl or {split}.jsonl.gz, and no {split} in another format. Put the {split} notes there.</source>
        <translation>La carpeta de notas {name} no tiene {split}.jsonl ni {split}.jsonl.gz, ni {split} en otro formato. Ponga ahí las notas de {split}.</translation>
    </message>
    <message>
        <source>The notes have labels for none of the tasks of {name}: {tasks}. Annotate them, or check that the labels are where the program looks for them.</source>
        <translation>Las notas no tienen etiquetas para ninguna de las tareas de {name}: {tasks}. Anótelas, o compruebe que las etiquetas están donde el programa las busca.</translation>
    </message>
    <message>
        <source>The notes have no labels for the task {task}. This site takes part without it.</source>
        <translation>Las notas no tienen etiquetas para la tarea {task}. Este centro participa sin ella.</translation>
    </message>
    <message>
        <source>The notes of {corpus} have labels for none of the experiment&apos;s tasks: {tasks}. Annotate them, or leave the corpus out.</source>
        <translation>Las notas de {corpus} no tienen etiquetas para ninguna de las tareas del experimento: {tasks}. Anótelas, o quite el corpus.</translation>
    </message>
    <message>
        <source>The other side sent something that this version does not understand ({place}: {reason}). Use the same version of fedmed-desktop on both sides.</source>
        <translation>El otro lado envió algo que esta versión no entiende ({place}: {reason}). Use la misma versión de fedmed-desktop en los dos lados.</translation>
    </message>
    <message>
        <source>The privacy budget, epsilon {epsilon}, has no room for another step. Training has stopped.</source>
        <translation>El presupuesto de privacidad, épsilon {epsilon}, no da para otro paso. El entrenamiento se ha detenido.</translation>
    </message>
    <message>
        <source>The processes of a site must run on one machine: what they exchange comes from its notes, and it is not encrypted. Start torchrun with --nnodes 1.</source>
        <translation>Los procesos de un centro deben estar en una misma máquina: lo que circula entre ellos procede de sus notas y no va cifrado. Inicie torchrun con --nnodes 1.</translation>
    </message>
    <message>
        <source>The program can train on {gpu}, which has {total} of memory.</source>
        <translation>El programa puede entrenar en {gpu}, que tiene {total} de memoria.</translation>
    </message>
    <message>
        <source>The program crashed the last time it ran. Nothing was sent because of that, and your site goes on where it was. If it happens again, make a support bundle (Settings) for whoever helps you; it goes nowhere by itself.</source>
        <translation>El programa falló la última vez que se ejecutó. No se envió nada a causa de ello, y su centro continúa donde estaba. Si ocurre de nuevo, haga un paquete de soporte (Ajustes) para quien le ayude; no va a ningún sitio por sí solo.</translation>
    </message>
    <message>
        <source>The proxy {proxy} answers, but it cannot reach the coordinator at {address} (HTTP {status}). Check the address, and ask the people who run the proxy whether it may connect there.</source>
        <translation>El proxy {proxy} responde, pero no llega al coordinador en {address} (HTTP {status}). Compruebe la dirección, y pregunte a quienes administran el proxy si puede conectarse allí.</translation>
    </message>
    <message>
        <source>The proxy {proxy} does not accept the name and the password that it was given. Correct them before you try again: repeated tries may lock the account.</source>
        <translation>El proxy {proxy} no acepta el nombre y la contraseña que recibió. Corríjalos antes de volver a intentarlo: los intentos repetidos pueden bloquear la cuenta.</translation>
    </message>
    <message>
        <source>The proxy {proxy} does not answer. Check its address, and that this computer is in the network that it belongs to; or choose another proxy, or none.</source>
        <translation>El proxy {proxy} no responde. Compruebe su dirección y que este ordenador está en la red a la que pertenece; o elija otro proxy, o ninguno.</translation>
    </message>
    <message>
        <source>The proxy {proxy} refuses connections to {address} (HTTP {status}). Ask the people who run it to allow HTTP CONNECT to this address and port.</source>
        <translation>El proxy {proxy} rechaza las conexiones con {address} (HTTP {status}). Pida a quienes lo administran que permitan HTTP CONNECT a esta dirección y puerto.</translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a name and a password. Give them in the proxy&apos;s address, as http://name:password@…, with --proxy, in HTTPS_PROXY or in Settings.</source>
        <translation>El proxy {proxy} exige un nombre y una contraseña. Indíquelos en la dirección del proxy, como http://name:password@…, con --proxy, en HTTPS_PROXY o en Ajustes.</translation>
    </message>
    <message>
        <source>The proxy {proxy} wants a sign-in of a kind that fedmed-desktop does not know ({ways}). Ask the people who run it to let this computer connect to {address} without one, or with a name and a password (Basic).</source>
        <translation>El proxy {proxy} exige un inicio de sesión de una clase que fedmed-desktop no conoce ({ways}). Pida a quienes lo administran que dejen a este ordenador conectarse con {address} sin él, o con un nombre y una contraseña (Basic).</translation>
    </message>
    <message>
        <source>The rank {rank} cannot be used. Choose a whole number of at least 1.</source>
        <translation>El rango {rank} no se puede usar. Elija un número entero que sea al menos 1.</translation>
    </message>
    <message>
        <source>The record of the sums that noise was added to ({path}) has {found} rounds, but {least} were combined: it was lost, or is an old copy. Nothing is combined, because nobody could tell how much of the privacy budget is spent. Put the newest copy back.</source>
        <translation>El registro de las sumas a las que se añadió ruido ({path}) tiene {found} rondas, pero se combinaron {least}: se perdió, o es una copia antigua. No se combina nada, porque nadie podría saber cuánto del presupuesto de privacidad se ha gastado. Vuelva a poner la copia más reciente.</translation>
    </message>
    <message>
        <source>The record of what this site has spent of its privacy budget ({path}) has {found} steps, but its updates took {least}: it was lost, or is an old copy. Nothing is trained, because nobody could tell how much of the budget is spent. Put the newest copy back.</source>
        <translation>El registro de lo que este centro ha gastado de su presupuesto de privacidad ({path}) tiene {found} pasos, pero sus actualizaciones llevaron {least}: se perdió, o es una copia antigua. No se entrena nada, porque nadie podría saber cuánto del presupuesto se ha gastado. Vuelva a poner la copia más reciente.</translation>
    </message>
    <message>
        <source>The results and the table are in {path}, but matplotlib, which draws the plots, is not installed. Install it with pip install &apos;fedmed-desktop[lab]&apos;, then run the lab again with the same --out.</source>
        <translation>Los resultados y la tabla están en {path}, pero matplotlib, que dibuja los gráficos, no está instalado. Instálelo con pip install &apos;fedmed-desktop[lab]&apos; y vuelva a ejecutar el laboratorio con el mismo --out.</translation>
    </message>
    <message>
        <source>The round had already closed when the update arrived. The adapter stays at the site.</source>
        <translation>La ronda ya se había cerrado cuando llegó la actualización. El adaptador se queda en el centro.</translation>
    </message>
    <message>
        <source>The round has moved on; this update is no longer needed. Nothing was sent.</source>
        <translation>La ronda ha avanzado; esta actualización ya no hace falta. No se envió nada.</translation>
    </message>
    <message>
        <source>The round is not combined, because too little of the privacy budget for whole sites is left: {spent} of epsilon {epsilon} is spent, and {rounds} more sums would need so much noise that nothing could be learned. More sums were made than the federation has rounds, so an old copy of this folder was put back. Start another federation from its last adapter.</source>
        <translation>La ronda no se combina, porque queda muy poco del presupuesto de privacidad de centros enteros: se ha gastado {spent} de épsilon {epsilon}, y {rounds} sumas más necesitarían tanto ruido que no se podría aprender nada. Se hicieron más sumas que rondas tiene la federación, así que se restauró una copia antigua de esta carpeta. Empiece otra federación con su último adaptador.</translation>
    </message>
    <message>
        <source>The scale {scale} of {name} cannot be used. It must be a finite number greater than 0.</source>
        <translation>La escala {scale} de {name} no se puede usar. Debe ser un número finito mayor que 0.</translation>
    </message>
    <message>
        <source>The secret key in {path} is not the one that the folder {folder} was made with. Give the earlier key, or another --data-dir.</source>
        <translation>La clave secreta en {path} no es aquella con la que se hizo la carpeta {folder}. Indique la clave anterior, u otra --data-dir.</translation>
    </message>
    <message>
        <source>The secret key is in a keyring ({keyring}), but none can be used right now. Start the program in a desktop session of the account that joined, then try again.</source>
        <translation>La clave secreta está en un llavero ({keyring}), pero ahora mismo no se puede usar ninguno. Inicie el programa en una sesión de escritorio de la cuenta que se unió y vuelva a intentarlo.</translation>
    </message>
    <message>
        <source>The secret key is in the file {detail}. Only this account can read it, but it is not encrypted: do not copy it, and leave it out of backups that others can read.</source>
        <translation>La clave secreta está en el archivo {detail}. Solo esta cuenta puede leerlo, pero no está cifrado: no lo copie, y déjelo fuera de las copias de seguridad que otros puedan leer.</translation>
    </message>
    <message>
        <source>The secret key is in this account&apos;s keyring ({detail}).</source>
        <translation>La clave secreta está en el llavero de esta cuenta ({detail}).</translation>
    </message>
    <message>
        <source>The secret key is missing: there is no file {path}. Restore it from a backup. If that is not possible, remove identity.json from the data folder; a site then needs a new invitation with a new key.</source>
        <translation>Falta la clave secreta: no existe el archivo {path}. Restáurelo desde una copia de seguridad. Si no es posible, elimine identity.json de la carpeta de datos; un centro necesita entonces una invitación nueva con una clave nueva.</translation>
    </message>
    <message>
        <source>The secret key is read from {detail}, as set up by the administrator of this computer.</source>
        <translation>La clave secreta se lee de {detail}, como lo dispuso el administrador de este ordenador.</translation>
    </message>
    <message>
        <source>The secret key that was found is not the one of this data folder (fingerprint {fingerprint} in {path}). Restore both from the same backup.</source>
        <translation>La clave secreta que se encontró no es la de esta carpeta de datos (huella {fingerprint} en {path}). Restaure las dos desde la misma copia de seguridad.</translation>
    </message>
    <message>
        <source>The settings could not be read. They were moved to {path}, and the program starts with the default settings.</source>
        <translation>No se pudieron leer los ajustes. Se movieron a {path}, y el programa se inicia con los ajustes predeterminados.</translation>
    </message>
    <message>
        <source>The signature of {path} is not valid: the file was changed after it was signed. Ask its owner for another export.</source>
        <translation>La firma de {path} no es válida: el archivo se modificó después de firmarlo. Pida a su propietario otra exportación.</translation>
    </message>
    <message>
        <source>The site in {path} has joined no federation yet. Give the host&apos;s invitation with --invitation, or --join and --name for a coordinator on this computer.</source>
        <translation>El centro en {path} todavía no se ha unido a ninguna federación. Indique la invitación del anfitrión con --invitation, o bien --join y --name para un coordinador en este ordenador.</translation>
    </message>
    <message>
        <source>The site no longer has this update, so it cannot be fetched.</source>
        <translation>El centro ya no tiene esta actualización, así que no se puede recoger.</translation>
    </message>
    <message>
        <source>The site uses protocol version {site}, the coordinator {coordinator}. Use the same version of fedmed-desktop on both sides.</source>
        <translation>El centro usa la versión de protocolo {site}, y el coordinador {coordinator}. Use la misma versión de fedmed-desktop en los dos lados.</translation>
    </message>
    <message>
        <source>The site {site} could not prove that it owns its key. Nothing was taken from it.</source>
        <translation>El centro {site} no pudo demostrar que posee su clave. No se tomó nada de él.</translation>
    </message>
    <message>
        <source>The site {site} has a new key now, so its old key no longer counts. If this site did not join again elsewhere, tell the host.</source>
        <translation>El centro {site} tiene ahora una clave nueva, así que su clave anterior ya no cuenta. Si este centro no volvió a unirse desde otro lugar, avise al anfitrión.</translation>
    </message>
    <message>
        <source>The sites can spare {found} validation notes, but shared_notes is {wanted}. Lower it, or raise split.validation_share.</source>
        <translation>Los centros pueden ceder {found} notas de validación, pero shared_notes es {wanted}. Redúzcalo, o aumente split.validation_share.</translation>
    </message>
    <message>
        <source>The speed of the connection could not be measured. The first round will show it.</source>
        <translation>No se pudo medir la velocidad de la conexión. La primera ronda la mostrará.</translation>
    </message>
    <message>
        <source>The starting adapter has rank {rank}, but the federation allows at most {most}. Give the federation rank {rank} or more (--rank).</source>
        <translation>El adaptador inicial tiene rango {rank}, y la federación {most} como máximo. Dé a la federación el rango {rank} o más (--rank).</translation>
    </message>
    <message>
        <source>The stored adapter {sha256} is damaged: its bytes have changed. Copy it from a backup, or download it again.</source>
        <translation>El adaptador guardado {sha256} está dañado: sus bytes han cambiado. Cópielo desde una copia de seguridad, o descárguelo de nuevo.</translation>
    </message>
    <message>
        <source>The sum cannot be opened yet: some of the shares that sites have sent for {site} are wrong. It is tried again with those of the sites that have not answered.</source>
        <translation>La suma todavía no se puede abrir: algunas de las partes que los centros han enviado de {site} son erróneas. Se vuelve a intentar con las de los centros que no han respondido.</translation>
    </message>
    <message>
        <source>The table of ICD-10-CM codes that comes with this program is missing or damaged, so no code can be looked up. Install the program again.</source>
        <translation>La tabla de códigos ICD-10-CM que viene con este programa falta o está dañada, así que no se puede buscar ningún código. Vuelva a instalar el programa.</translation>
    </message>
    <message>
        <source>The tensor {tensor} contains values that are not finite numbers. Training may have diverged; lower the learning rate and train again.</source>
        <translation>El tensor {tensor} contiene valores que no son números finitos. Puede que el entrenamiento haya divergido; reduzca la tasa de aprendizaje y vuelva a entrenar.</translation>
    </message>
    <message>
        <source>The tensor {tensor} does not belong in a LoRA adapter. Choose an adapter with only LoRA factors of linear layers.</source>
        <translation>El tensor {tensor} no debe estar en un adaptador LoRA. Elija un adaptador que solo tenga factores LoRA de capas lineales.</translation>
    </message>
    <message>
        <source>The tensor {tensor} has shape {shape}, but {expected} is needed. Create the adapter again.</source>
        <translation>El tensor {tensor} tiene la forma {shape}, pero se necesita {expected}. Cree el adaptador de nuevo.</translation>
    </message>
    <message>
        <source>The tensor {tensor} has type {dtype}; {expected} is needed. Save the adapter in that type.</source>
        <translation>El tensor {tensor} tiene el tipo {dtype}; se necesita {expected}. Guarde el adaptador en ese tipo.</translation>
    </message>
    <message>
        <source>The tensor {tensor} is missing, but the other factor of its pair is there. Create the adapter again.</source>
        <translation>Falta el tensor {tensor}, pero el otro factor de su par está. Cree el adaptador de nuevo.</translation>
    </message>
    <message>
        <source>The tokenizer in {path} does not belong to the model beside it: it has a token with the number {number} ({token}), but the model knows only {rows} tokens. Download the model again.</source>
        <translation>El tokenizador en {path} no pertenece al modelo que lo acompaña: tiene un token con el número {number} ({token}), pero el modelo solo conoce {rows} tokens. Descargue el modelo de nuevo.</translation>
    </message>
    <message>
        <source>The tokenizer in {path} names no end token, so an answer would never end. Choose a base model whose tokenizer has one (eos_token).</source>
        <translation>El tokenizador en {path} no indica ningún token final, así que una respuesta no terminaría nunca. Elija un modelo base cuyo tokenizador tenga uno (eos_token).</translation>
    </message>
    <message>
        <source>The transfer made no progress, so another site took its place. It continues later from where it stopped.</source>
        <translation>La transferencia no avanzaba, así que otro centro ocupó su lugar. Continúa más tarde desde donde se detuvo.</translation>
    </message>
    <message>
        <source>The transformers library cannot load the model in {path} as a causal language model. Choose one that it can, such as the text model by itself.</source>
        <translation>La biblioteca transformers no puede cargar el modelo en {path} como modelo de lenguaje causal. Elija uno que sí pueda cargar, por ejemplo el modelo de texto por sí solo.</translation>
    </message>
    <message>
        <source>The types file {name} cannot be used: {reason}. It needs a table [types.map] with rows such as Chemical = &quot;drug&quot;.</source>
        <translation>El archivo de tipos {name} no se puede usar: {reason}. Necesita una tabla [types.map] con filas como Chemical = &quot;drug&quot;.</translation>
    </message>
    <message>
        <source>The types file {name} does not exist. Check its name and folder.</source>
        <translation>El archivo de tipos {name} no existe. Compruebe su nombre y su carpeta.</translation>
    </message>
    <message>
        <source>The types map translates {local} to {target}, but the federation&apos;s types are {expected}. Correct the map.</source>
        <translation>La tabla de tipos traduce {local} a {target}, pero los tipos de la federación son {expected}. Corrija la tabla.</translation>
    </message>
    <message>
        <source>The update adapts {module}, which is not part of this federation.</source>
        <translation>La actualización adapta {module}, que no forma parte de esta federación.</translation>
    </message>
    <message>
        <source>The update answers another plan than the one this site has in this round.</source>
        <translation>La actualización responde a otro plan que el que este centro tiene en esta ronda.</translation>
    </message>
    <message>
        <source>The update cannot be unpacked: {reason}. Send it again; if this message comes again, train the round again.</source>
        <translation>La actualización no se puede desempaquetar: {reason}. Envíela de nuevo; si este mensaje se repite, vuelva a entrenar la ronda.</translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It counts as it is. Ask the site whether its notes or its training have changed.</source>
        <translation>La actualización cambia el modelo en {norm}, más que el límite de {limit}. Cuenta tal como es. Pregunte al centro si han cambiado sus notas o su entrenamiento.</translation>
    </message>
    <message>
        <source>The update changes the model by {norm}, more than the bound of {limit}. It was shortened to the bound. Ask the site whether its notes or its training have changed.</source>
        <translation>La actualización cambia el modelo en {norm}, más que el límite de {limit}. Se acortó hasta el límite. Pregunte al centro si han cambiado sus notas o su entrenamiento.</translation>
    </message>
    <message>
        <source>The update does not adapt {module}, which is part of this federation.</source>
        <translation>La actualización no adapta {module}, que forma parte de esta federación.</translation>
    </message>
    <message>
        <source>The update does not have the parts that the plan asked for.</source>
        <translation>La actualización no tiene las partes que pedía el plan.</translation>
    </message>
    <message>
        <source>The update has rank {found} in {module}; the plan asked for {expected}.</source>
        <translation>La actualización tiene rango {found} en {module}; el plan pedía {expected}.</translation>
    </message>
    <message>
        <source>The update has scale {found} in {module}; the federation&apos;s scale is {expected}.</source>
        <translation>La actualización tiene escala {found} en {module}; la escala de la federación es {expected}.</translation>
    </message>
    <message>
        <source>The update has shape {found} in {module}; the base model needs {expected}.</source>
        <translation>La actualización tiene la forma {found} en {module}; el modelo base necesita {expected}.</translation>
    </message>
    <message>
        <source>The update has values larger than {largest} in {module}, so training has diverged. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>La actualización tiene valores mayores que {largest} en {module}, así que el entrenamiento ha divergido. Pida al anfitrión del coordinador una tasa de aprendizaje menor.</translation>
    </message>
    <message>
        <source>The update has {size} bytes; an update of the planned rank has at most {limit}.</source>
        <translation>La actualización tiene {size} bytes; una actualización del rango previsto tiene {limit} como máximo.</translation>
    </message>
    <message>
        <source>The update is not the {expected} bytes of masked numbers that the plan asked for; it has {size} bytes.</source>
        <translation>La actualización no son los {expected} bytes de números enmascarados que pedía el plan; tiene {size} bytes.</translation>
    </message>
    <message>
        <source>The update points away from the others: its cosine with their mean is {cosine}, below {least}. It still counts. Ask the site what its notes are about; unusual notes are no fault.</source>
        <translation>La actualización apunta en otra dirección que las demás: su coseno con la media de estas es {cosine}, por debajo de {least}. Cuenta igualmente. Pregunte al centro de qué tratan sus notas; unas notas poco corrientes no son un error.</translation>
    </message>
    <message>
        <source>The update that the round waits for is no longer at the site either. Copy the file {sha256} to {path} from a backup.</source>
        <translation>La actualización que espera la ronda tampoco está ya en el centro. Copie el archivo {sha256} en {path} desde una copia de seguridad.</translation>
    </message>
    <message>
        <source>The update was not combined: among {updates}, others are closer to one another (Krum). Its site takes part in the next round as before.</source>
        <translation>La actualización no se combinó: de {updates}, otras están más cerca entre sí (Krum). Su centro participa en la próxima ronda como antes.</translation>
    </message>
    <message>
        <source>The update {sha256} stays on this computer: the audit file {path} has no entry that it was about to be released. Keep both files, and show them to whoever supports this program before you continue.</source>
        <translation>La actualización {sha256} se queda en este ordenador: el archivo de auditoría {path} no tiene ninguna entrada de que se fuera a autorizar su envío. Conserve los dos archivos, y muéstrelos a quien dé soporte a este programa antes de continuar.</translation>
    </message>
    <message>
        <source>The update&apos;s model has no finite loss on the coordinator&apos;s notes, so it cannot be given a weight. Training may have diverged; lower the learning rate and train again.</source>
        <translation>El modelo de la actualización no tiene una pérdida finita en las notas del coordinador, así que no se le puede dar un peso. Puede que el entrenamiento haya divergido; reduzca la tasa de aprendizaje y vuelva a entrenar.</translation>
    </message>
    <message>
        <source>The update&apos;s norm is {found}, but its report says {reported}.</source>
        <translation>La norma de la actualización es {found}, pero su informe dice {reported}.</translation>
    </message>
    <message>
        <source>The update&apos;s report counts notes by specialty or type, which this federation does not share. Use the same program as the coordinator.</source>
        <translation>El informe de la actualización cuenta notas por especialidad o por tipo, cosa que esta federación no comparte. Use el mismo programa que el coordinador.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not contain the loss on the federation&apos;s shared notes, which decides its weight. Give this site the shared notes.</source>
        <translation>El informe de la actualización no contiene la pérdida en las notas compartidas de la federación, que decide su peso. Dé a este centro las notas compartidas.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not say how important each of the federation&apos;s matrices is, or says it without being asked. Use the same program as the coordinator.</source>
        <translation>El informe de la actualización no dice cuánto importa cada matriz de la federación, o lo dice sin que se le pida. Use el mismo programa que el coordinador.</translation>
    </message>
    <message>
        <source>The update&apos;s report does not say how many notes of each specialty (or entities of each type) the site has, which the method needs. Add the specialties to the site&apos;s notes, or leave the federation.</source>
        <translation>El informe de la actualización no dice cuántas notas de cada especialidad (o entidades de cada tipo) tiene el centro, y el método lo necesita. Añada las especialidades a las notas del centro, o abandone la federación.</translation>
    </message>
    <message>
        <source>The update&apos;s report has scores for tasks, types or measures that are not part of this federation.</source>
        <translation>El informe de la actualización tiene puntuaciones de tareas, tipos o medidas que no forman parte de esta federación.</translation>
    </message>
    <message>
        <source>The updates of round {round} are being combined. Try again once that is done.</source>
        <translation>Se están combinando las actualizaciones de la ronda {round}. Inténtelo de nuevo después.</translation>
    </message>
    <message>
        <source>The {device} does not have enough memory for one note. Choose a smaller base model, a 4-bit base model, or a smaller max_tokens.</source>
        <translation>En el dispositivo ({device}) no hay memoria suficiente para una nota. Elija un modelo base más pequeño, un modelo base de 4 bits o un max_tokens menor.</translation>
    </message>
    <message>
        <source>There are no notes that can be used.</source>
        <translation>No hay ninguna nota que se pueda usar.</translation>
    </message>
    <message>
        <source>There are no {split} notes that fit the federation&apos;s maximum length. Add notes, or ask for a larger max_tokens.</source>
        <translation>No hay notas de {split} que quepan en la longitud máxima de la federación. Añada notas, o pida un max_tokens mayor.</translation>
    </message>
    <message>
        <source>There are no {split} notes. Add some; or remove the split from all notes, and a new one is proposed.</source>
        <translation>No hay notas de {split}. Añada algunas; o quite la división de todas las notas, y se propondrá una nueva.</translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few for Krum, which needs two for each site that may be wrong and three more. They were combined by their usual weights.</source>
        <translation>Solo hay {updates} actualizaciones, muy pocas para Krum, que necesita dos por cada centro que pueda enviar algo erróneo y tres más. Se combinaron con sus pesos habituales.</translation>
    </message>
    <message>
        <source>There are only {updates} updates, too few to leave out any of their values. They were combined by their usual weights.</source>
        <translation>Solo hay {updates} actualizaciones, muy pocas para excluir alguno de sus valores. Se combinaron con sus pesos habituales.</translation>
    </message>
    <message>
        <source>There are {groups} groups of notes for {sites} sites. Ask for fewer sites or more notes.</source>
        <translation>Hay {groups} grupos de notas para {sites} centros. Pida menos centros o más notas.</translation>
    </message>
    <message>
        <source>There are {processes} processes but only {cards} GPUs, and each process needs its own. Start torchrun with --nproc-per-node {cards}.</source>
        <translation>Hay {processes} procesos y solo {cards} GPU, y cada uno necesita una propia. Inicie torchrun con --nproc-per-node {cards}.</translation>
    </message>
    <message>
        <source>There is already a federation in {path}. Choose another folder: nothing is overwritten.</source>
        <translation>Ya hay una federación en {path}. Elija otra carpeta: no se sobrescribe nada.</translation>
    </message>
    <message>
        <source>There is hardly enough memory for the program alone. The demonstration may work; to train, use a computer with more memory.</source>
        <translation>Apenas hay memoria suficiente para el propio programa. La demostración puede funcionar; para entrenar, use un ordenador con más memoria.</translation>
    </message>
    <message>
        <source>There is no adapter at {path}. Check the path.</source>
        <translation>No hay ningún adaptador en {path}. Compruebe la ruta.</translation>
    </message>
    <message>
        <source>There is no adapter in {path}: a site has one once its federation has finished. Wait for that, or name an adapter with --adapter.</source>
        <translation>No hay ningún adaptador en {path}: un centro lo tiene cuando su federación ha terminado. Espere hasta entonces, o indique un adaptador con --adapter.</translation>
    </message>
    <message>
        <source>There is no audit file at {path}. Choose the data folder of a site or a coordinator, its audit.sqlite, or an exported .json file.</source>
        <translation>No hay ningún archivo de auditoría en {path}. Elija la carpeta de datos de un centro o de un coordinador, su audit.sqlite o un archivo .json exportado.</translation>
    </message>
    <message>
        <source>There is no column {column}, which was named for {role}. The table&apos;s columns: {found}.</source>
        <translation>No existe la columna {column}, que se indicó para {role}. Columnas de la tabla: {found}.</translation>
    </message>
    <message>
        <source>There is no connection to the coordinator at {address}. Nothing was done; try again once it is back.</source>
        <translation>No hay conexión con el coordinador en {address}. No se hizo nada; inténtelo de nuevo cuando vuelva.</translation>
    </message>
    <message>
        <source>There is no display (neither DISPLAY nor WAYLAND_DISPLAY is set). Without one, take part with fedmed-desktop --site, or see the demonstration with --demo --terminal or --demo --offscreen.</source>
        <translation>No hay pantalla (no está definida ni DISPLAY ni WAYLAND_DISPLAY). Sin ella, participe con fedmed-desktop --site, o vea la demostración con --demo --terminal o --demo --offscreen.</translation>
    </message>
    <message>
        <source>There is no experiment at {path}. Give a TOML file; there are some in resources/experiments.</source>
        <translation>No hay ningún experimento en {path}. Indique un archivo TOML; hay algunos en resources/experiments.</translation>
    </message>
    <message>
        <source>There is no federation specification at {path}. Check the path; the host writes the file with --new-federation.</source>
        <translation>No hay ninguna especificación de federación en {path}. Compruebe la ruta; el anfitrión crea el archivo con --new-federation.</translation>
    </message>
    <message>
        <source>There is no file {path}. Check the path, and that the medium is plugged in.</source>
        <translation>No existe el archivo {path}. Compruebe que el soporte está conectado, y la ruta.</translation>
    </message>
    <message>
        <source>There is no file {path}. Check the path. An invitation&apos;s line begins with fedmed:.</source>
        <translation>No existe el archivo {path}. Compruebe la ruta. La línea de una invitación empieza por fedmed:.</translation>
    </message>
    <message>
        <source>There is no file {path}. Give the files of the certificate and of its key, or neither: the coordinator then makes its own.</source>
        <translation>No existe el archivo {path}. Indique los archivos del certificado y de su clave, o ninguno de los dos: entonces el coordinador crea los suyos propios.</translation>
    </message>
    <message>
        <source>There is no method {method}. Choose one of {known}.</source>
        <translation>No existe el método {method}. Elija uno de {known}.</translation>
    </message>
    <message>
        <source>There is no model folder at {path}. Check the path.</source>
        <translation>No hay ninguna carpeta de modelo en {path}. Compruebe la ruta.</translation>
    </message>
    <message>
        <source>There is no notes folder at {path}. Choose a folder with one folder for each site.</source>
        <translation>No hay ninguna carpeta de notas en {path}. Elija una carpeta con una carpeta por cada centro.</translation>
    </message>
    <message>
        <source>There is no notes folder {name}. Choose the folder that contains the notes to train and to validate on, such as train.jsonl and validation.jsonl.</source>
        <translation>No existe la carpeta de notas {name}. Elija la carpeta que contiene las notas de entrenamiento y de validación, como train.jsonl y validation.jsonl.</translation>
    </message>
    <message>
        <source>There is no question. Write what you want to know about the note.</source>
        <translation>No hay ninguna pregunta. Escriba qué quiere saber de la nota.</translation>
    </message>
    <message>
        <source>There is no text to read. Paste or open a note first.</source>
        <translation>No hay texto que leer. Pegue o abra antes una nota.</translation>
    </message>
    <message>
        <source>There is no update {sha256} in the outbox.</source>
        <translation>No hay ninguna actualización {sha256} en la bandeja de salida.</translation>
    </message>
    <message>
        <source>These are too many answers: {limit} at most. Leave some out.</source>
        <translation>Son demasiadas respuestas: {limit} como máximo. Quite algunas.</translation>
    </message>
    <message>
        <source>These notes have no labels for {tasks}. Choose notes that are annotated for it, or another task.</source>
        <translation>Estas notas no tienen etiquetas para {tasks}. Elija notas anotadas para ello, u otra tarea.</translation>
    </message>
    <message>
        <source>This PEFT adapter uses {feature}, which a federation cannot combine. Use plain LoRA or rsLoRA on linear layers.</source>
        <translation>Este adaptador PEFT usa {feature}, que una federación no puede combinar. Use LoRA o rsLoRA simples en capas lineales.</translation>
    </message>
    <message>
        <source>This adapter was made for another model. Choose one that was made for this model.</source>
        <translation>Este adaptador se hizo para otro modelo. Elija uno hecho para este modelo.</translation>
    </message>
    <message>
        <source>This base model has no layers that could be split over several GPUs. Load it in 4 bits (--nf4), or choose a smaller one.</source>
        <translation>Este modelo base no tiene capas que se puedan repartir entre varias GPU. Cárguelo en 4 bits (--nf4), o elija uno más pequeño.</translation>
    </message>
    <message>
        <source>This computer and the coordinator agree about the time.</source>
        <translation>Este ordenador y el coordinador coinciden en la hora.</translation>
    </message>
    <message>
        <source>This computer does not trust the certificate of the coordinator at {address} ({reason}), so nothing was sent. If your hospital has its own certificate authority, ask IT to install its root certificate here; otherwise ask the host.</source>
        <translation>Este ordenador no confía en el certificado del coordinador en {address} ({reason}), así que no se envió nada. Si su hospital tiene su propia autoridad de certificación, pida a informática que instale aquí su certificado raíz; si no, pregunte al anfitrión.</translation>
    </message>
    <message>
        <source>This computer has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation>Este ordenador tiene {total} de memoria, {free} libres; entrenar este modelo necesita unos {needed}.</translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min ahead of the coordinator&apos;s. One of the two is wrong: set both computers to take the time from a time server.</source>
        <translation>El reloj de este ordenador va {minutes} min adelantado respecto al del coordinador. Uno de los dos está mal: haga que ambos ordenadores tomen la hora de un servidor horario.</translation>
    </message>
    <message>
        <source>This computer&apos;s clock is {minutes} min behind the coordinator&apos;s. One of the two is wrong: set both computers to take the time from a time server.</source>
        <translation>El reloj de este ordenador va {minutes} min atrasado respecto al del coordinador. Uno de los dos está mal: haga que ambos ordenadores tomen la hora de un servidor horario.</translation>
    </message>
    <message>
        <source>This data folder belongs to the federation {known}, but the coordinator runs {found}. Choose another --data-dir.</source>
        <translation>Esta carpeta de datos pertenece a la federación {known}, pero el coordinador aloja {found}. Elija otra --data-dir.</translation>
    </message>
    <message>
        <source>This federation does not know this site. Ask the host for an invitation, and join with it.</source>
        <translation>Esta federación no conoce este centro. Pida una invitación al anfitrión y únase con ella.</translation>
    </message>
    <message>
        <source>This federation&apos;s method needs rank {rank} at each site, but this site&apos;s limit is {cap}. Leave out --rank-cap, or ask the host for a method that allows different ranks, such as flexlora.</source>
        <translation>El método de esta federación necesita el rango {rank} en cada centro, pero el límite de este centro es {cap}. Quite --rank-cap, o pida al anfitrión un método que permita rangos distintos, como flexlora.</translation>
    </message>
    <message>
        <source>This file is a site&apos;s answer. Give it to the coordinator, with --import-update.</source>
        <translation>Este archivo es la respuesta de un centro. Entréguelo al coordinador, con --import-update.</translation>
    </message>
    <message>
        <source>This file is for {found}, and this site is {site}. Use the file that the host made for {site}.</source>
        <translation>Este archivo es para {found}, y este centro es {site}. Use el archivo que el anfitrión hizo para {site}.</translation>
    </message>
    <message>
        <source>This file is not a readable round ({place}). Copy it again, or have it made again with the same version of fedmed-desktop.</source>
        <translation>Este archivo no es una ronda que se pueda leer ({place}). Cópielo otra vez, o haga que se cree de nuevo con la misma versión de fedmed-desktop.</translation>
    </message>
    <message>
        <source>This file was changed after it was signed. Nothing was taken from it. Copy it again; if that does not help, tell the host: someone may have changed it on the way.</source>
        <translation>Este archivo se modificó después de firmarlo. No se tomó nada de él. Cópielo otra vez; si no sirve, avise al anfitrión: alguien puede haberlo modificado por el camino.</translation>
    </message>
    <message>
        <source>This file was made for a site, by --export-round. Give the coordinator the file that the site wrote with --bundle-out.</source>
        <translation>Este archivo se hizo para un centro, con --export-round. Entregue al coordinador el archivo que el centro escribió con --bundle-out.</translation>
    </message>
    <message>
        <source>This file was made with another version of fedmed-desktop (protocol {found}, here {known}). Use the same version on both sides.</source>
        <translation>Este archivo se hizo con otra versión de fedmed-desktop (protocolo {found}, aquí {known}). Use la misma versión en los dos lados.</translation>
    </message>
    <message>
        <source>This file was not signed by the sender that it names. Nothing was taken from it. Tell the host: someone may have changed it on the way.</source>
        <translation>Este archivo no está firmado por el remitente que indica. No se tomó nada de él. Avise al anfitrión: alguien puede haberlo modificado por el camino.</translation>
    </message>
    <message>
        <source>This invitation is for another role: a site cannot use a host&apos;s invitation, nor a host a site&apos;s. Ask the host for the right one.</source>
        <translation>El código de esta invitación es para otro papel: el de un anfitrión no deja entrar a ningún centro, ni el de un centro a ningún anfitrión. Pida al anfitrión una invitación del tipo correcto.</translation>
    </message>
    <message>
        <source>This invitation is from another coordinator (fingerprint {found}) than the one that this site joined (fingerprint {expected}). Use the data folder that belongs to it, or ask the host which is right.</source>
        <translation>Esta invitación es de un coordinador (huella {found}) distinto de aquel al que se unió este centro (huella {expected}). Use la carpeta de datos que le corresponde, o pregunte al anfitrión cuál es el correcto.</translation>
    </message>
    <message>
        <source>This invitation is mistyped or incomplete: its checksum is wrong. Nothing was sent. Copy it again: the whole line, from fedmed: to the end.</source>
        <translation>Esta invitación está mal escrita o incompleta: su suma de comprobación no es correcta. No se envió nada. Cópiela otra vez, la línea entera desde fedmed: hasta el final.</translation>
    </message>
    <message>
        <source>This invitation is not valid: a newer one replaced it, the host took it back, or it belongs to another federation. Ask the host for a new one.</source>
        <translation>Esta invitación no es válida: la sustituyó una más reciente, el anfitrión la retiró, o es de otra federación. Pida una nueva al anfitrión.</translation>
    </message>
    <message>
        <source>This invitation is not valid: it contains something that does not belong in an invitation. Ask the host for a new one.</source>
        <translation>Esta invitación no es válida: contiene algo que no corresponde a una invitación. Pida una nueva al anfitrión.</translation>
    </message>
    <message>
        <source>This invitation was made by a newer version of fedmed-desktop (format {found}; this one reads {known}). Install the version that the host has.</source>
        <translation>Esta invitación se hizo con una versión más reciente de fedmed-desktop (formato {found}; esta lee {known}). Instale la versión que tiene el anfitrión.</translation>
    </message>
    <message>
        <source>This is far longer than an invitation. Paste the line that begins with fedmed: and nothing else.</source>
        <translation>Esto es mucho más largo que una invitación. Pegue la línea que empieza por fedmed: y nada más.</translation>
    </message>
    <message>
        <source>This is not a file or folder on this computer. Choose one with Browse.</source>
        <translation>Esto no es un archivo ni una carpeta de este ordenador. Elija uno con Examinar.</translation>
    </message>
    <message>
        <source>This is not a proxy&apos;s address. Give one such as http://proxy.example.org:3128 (with a name and a password: http://name:password@proxy.example.org:3128), or &quot;system&quot; or &quot;none&quot;.</source>
        <translation>Esto no es la dirección de un proxy. Indique una como http://proxy.example.org:3128 (con nombre y contraseña: http://name:password@proxy.example.org:3128), o bien &quot;system&quot; o &quot;none&quot;.</translation>
    </message>
    <message>
        <source>This is not the coordinator that the invitation is from: its fingerprint is {found}, and {expected} is expected. Nothing was sent. Ask the host by phone before you try again.</source>
        <translation>Este no es el coordinador del que procede la invitación: su huella es {found}, y se espera {expected}. No se envió nada. Pregunte al anfitrión por teléfono antes de volver a intentarlo.</translation>
    </message>
    <message>
        <source>This is the invitation of {site} as a host. Open it in the desktop, which shows the federation then; a site needs an invitation of its own.</source>
        <translation>Esta es la invitación de {site} como anfitrión. Ábrala en la aplicación de escritorio, que muestra entonces la federación; un centro necesita su propia invitación.</translation>
    </message>
    <message>
        <source>This is the invitation of {site} as a site, which trains on its notes. A host needs an invitation of its own.</source>
        <translation>Esta es la invitación de {site} como centro, que entrena con sus notas. Un anfitrión necesita su propia invitación.</translation>
    </message>
    <message>
        <source>This model does not fit into this computer&apos;s memory: it needs at least {least}, and the computer has {total}. Use a computer with more memory, or ask the host for a smaller model.</source>
        <translation>Este modelo no cabe en la memoria de este ordenador: necesita al menos {least}, y el ordenador tiene {total}. Use un ordenador con más memoria, o pida al anfitrión un modelo más pequeño.</translation>
    </message>
    <message>
        <source>This model does not fit into {gpu}: it needs at least {least}, and the GPU has {total}. Load it in 4 bits (--nf4), use a computer with a larger GPU, or ask the host for a smaller model.</source>
        <translation>Este modelo no cabe en {gpu}: necesita al menos {least}, y la GPU tiene {total}. Cárguelo en 4 bits (--nf4), use un ordenador con una GPU mayor, o pida al anfitrión un modelo más pequeño.</translation>
    </message>
    <message>
        <source>This note has more than {limit} characters. Shorten it, or read it in parts.</source>
        <translation>Esta nota tiene más de {limit} caracteres. Acórtela, o léala por partes.</translation>
    </message>
    <message>
        <source>This site has a model of its own already, in {path}, because {method} keeps a part of the model at each site. To fit another adapter, name it with --adapter.</source>
        <translation>Este centro ya tiene un modelo propio, en {path}, porque con {method} cada centro conserva una parte del modelo. Para ajustar otro adaptador, indíquelo con --adapter.</translation>
    </message>
    <message>
        <source>This site has never joined the coordinator at {address}. Ask its host for an invitation.</source>
        <translation>Este centro nunca se ha unido al coordinador en {address}. Pida una invitación a su anfitrión.</translation>
    </message>
    <message>
        <source>This site has no secret key yet. It is made when the site first joins.</source>
        <translation>Este centro todavía no tiene clave secreta. Se crea cuando el centro se une por primera vez.</translation>
    </message>
    <message>
        <source>This site was not asked for an update in this round.</source>
        <translation>A este centro no se le pidió ninguna actualización en esta ronda.</translation>
    </message>
    <message>
        <source>This site would weigh {weight}, more than the {largest} that the federation was founded for. Take part with fewer notes, or ask the host to found one with a larger secure_aggregation.largest_weight.</source>
        <translation>Este centro pesaría {weight}, más que el máximo de {largest} con el que se creó la federación. Participe con menos notas, o pida al anfitrión que cree una con un secure_aggregation.largest_weight mayor.</translation>
    </message>
    <message>
        <source>This site&apos;s base model is not the federation&apos;s base model (fingerprint {found}, expected {expected}). Choose the model folder that the federation was made with.</source>
        <translation>El modelo base de este centro no es el modelo base de la federación (huella {found}, se esperaba {expected}). Elija la carpeta del modelo con el que se hizo la federación.</translation>
    </message>
    <message>
        <source>This update is {state}, so it cannot be {decision} any more.</source>
        <translation>Esta actualización está en el estado «{state}», así que ya no admite la decisión «{decision}».</translation>
    </message>
    <message>
        <source>This was already asked on this connection, and is done only once.</source>
        <translation>Esto ya se pidió en esta conexión y cuenta una sola vez.</translation>
    </message>
    <message>
        <source>Too many messages came at once, so the connection was closed. It is opened again by itself.</source>
        <translation>Llegaron demasiados mensajes a la vez, así que se cerró la conexión. Se vuelve a establecer sola.</translation>
    </message>
    <message>
        <source>Too many wrong codes came from this address. Wait a minute, and copy the invitation whole.</source>
        <translation>Desde esta dirección llegaron demasiados códigos erróneos. Espere un minuto y copie la invitación entera.</translation>
    </message>
    <message>
        <source>Too much was asked for within a minute. Wait a minute, then go on.</source>
        <translation>Son más órdenes en un minuto de las que un anfitrión puede querer dar. Espere un minuto y continúe.</translation>
    </message>
    <message>
        <source>Training failed at step {step}: the loss is no longer a number at learning rate {rate}. Ask the coordinator&apos;s host for a smaller learning rate.</source>
        <translation>El entrenamiento falló en el paso {step}: la pérdida ya no es un número con la tasa de aprendizaje {rate}. Pida al anfitrión del coordinador una tasa de aprendizaje menor.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed} with a whole batch at once, and {gpu} has {total}. With less at once it needs {least} or more, and takes longer. Load the model in 4 bits (--nf4) to be quicker.</source>
        <translation>Entrenar este modelo necesita unos {needed} para un lote completo, y {gpu} tiene {total}. Con menos a la vez necesita {least} o más, y más tiempo. Cargue el modelo en 4 bits (--nf4) para ir más deprisa.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, and at the very least {least}; this computer has {total} of memory, so it may not fit. Load the model in 4 bits (--nf4), or use a computer with more memory.</source>
        <translation>Entrenar este modelo necesita unos {needed}, y como mínimo {least}; este ordenador tiene {total} de memoria, así que puede que no quepa. Cargue el modelo en 4 bits (--nf4), o use un ordenador con más memoria.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of this computer&apos;s {total} is free. Close other programs before the federation begins.</source>
        <translation>Entrenar este modelo necesita unos {needed}, pero de los {total} de este ordenador solo hay {free} libres. Cierre otros programas antes de que empiece la federación.</translation>
    </message>
    <message>
        <source>Training this model takes about {needed}, but only {free} of {gpu}&apos;s {total} is free. Close whatever else is using it before the federation begins.</source>
        <translation>Entrenar este modelo necesita unos {needed}, pero de los {total} de {gpu} solo hay {free} libres. Cierre lo demás que la use antes de que empiece la federación.</translation>
    </message>
    <message>
        <source>Training was interrupted in round {round}, at step {step} of {steps}, before anything was saved. It begins anew as soon as the coordinator answers; if the round has closed meanwhile, with the next round.</source>
        <translation>El entrenamiento se interrumpió en la ronda {round}, en el paso {step} de {steps}, antes de que se guardara nada. Empieza de nuevo en cuanto responda el coordinador; si la ronda se ha cerrado entretanto, con la siguiente.</translation>
    </message>
    <message>
        <source>Training was interrupted in round {round}, at step {step} of {steps}. It goes on from the last saved step as soon as the coordinator answers; if the round has closed meanwhile, with the next round.</source>
        <translation>El entrenamiento se interrumpió en la ronda {round}, en el paso {step} de {steps}. Continúa desde el último paso guardado en cuanto responda el coordinador; si la ronda se ha cerrado entretanto, con la siguiente.</translation>
    </message>
    <message>
        <source>Two adapters are both called {name}. Copy one of them to a folder with another name.</source>
        <translation>Hay dos adaptadores que se llaman {name}. Copie uno de ellos en una carpeta con otro nombre.</translation>
    </message>
    <message>
        <source>Two sites are said to have the same key, so one of them does not exist. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Se dice que dos centros tienen la misma clave, así que uno de ellos no existe. No se envió nada en esta ronda. Pregunte al anfitrión de la federación.</translation>
    </message>
    <message>
        <source>Types of the federation that the notes do not annotate: {types}. This site is neither trained nor scored on them.</source>
        <translation>Tipos de la federación que las notas no anotan: {types}. En ellos este centro no se entrena ni se puntúa.</translation>
    </message>
    <message>
        <source>What answers at {address} does not encrypt, so it is not the coordinator, or something in between changes the connection. Check the address and the port with the host.</source>
        <translation>Lo que responde en {address} no cifra, así que no es el coordinador, o algo que hay en medio modifica la conexión. Compruebe la dirección y el puerto con el anfitrión.</translation>
    </message>
    <message>
        <source>What answers at {address} is not a coordinator (HTTP {status}). Check the address with the host; this site keeps trying.</source>
        <translation>Lo que responde en {address} no es un coordinador (HTTP {status}). Compruebe la dirección con el anfitrión; este centro lo sigue intentando.</translation>
    </message>
    <message>
        <source>What answers at {address} is not a coordinator, or one that encrypts, as each does that serves a network. Check the port, or ask the host for an invitation; this site keeps trying.</source>
        <translation>Lo que responde en {address} no es un coordinador, o es uno que cifra, como todos los que atienden una red. Compruebe el puerto o pida una invitación al anfitrión; este centro sigue intentándolo.</translation>
    </message>
    <message>
        <source>What answers at {proxy} is not an HTTP proxy. Check the proxy&apos;s address.</source>
        <translation>Lo que responde en {proxy} no es un proxy HTTP. Compruebe la dirección del proxy.</translation>
    </message>
    <message>
        <source>What differential privacy spends cannot be counted, because dp-accounting is missing here ({reason}). Install fedmed-desktop[site] on this computer.</source>
        <translation>No se puede contar lo que gasta la privacidad diferencial, porque aquí falta dp-accounting ({reason}). Instale fedmed-desktop[site] en este ordenador.</translation>
    </message>
    <message>
        <source>What {site} encrypted for this site cannot be opened: it was changed on the way, or the keys are not {site}&apos;s. Nothing was sent in this round. Ask whoever hosts the federation.</source>
        <translation>Lo que {site} ha cifrado para este centro no se puede abrir: se modificó por el camino, o las claves no son las de {site}. No se envió nada en esta ronda. Pregunte al anfitrión de la federación.</translation>
    </message>
    <message>
        <source>With --federation, name the adapter with --adapter and the folder to write with --out.</source>
        <translation>Con --federation, indique el adaptador con --adapter y la carpeta de destino con --out.</translation>
    </message>
    <message>
        <source>With delta {delta}, one of the {units} notes or patients here could leave entirely unprotected. Nothing is trained. Ask the host for a delta well below 1/{units}.</source>
        <translation>Con delta {delta}, una entera de las {units} notas o pacientes de aquí podría salir sin protección. No se entrena nada. Pida al anfitrión un delta muy inferior a 1/{units}.</translation>
    </message>
    <message>
        <source>With split.by = &quot;{by}&quot; the notes have {found} different labels, too few for {sites} sites. Ask for fewer sites, or write by = &quot;dirichlet&quot;.</source>
        <translation>Con split.by = &quot;{by}&quot; las notas tienen {found} etiquetas distintas, muy pocas para {sites} centros. Pida menos centros, o escriba by = &quot;dirichlet&quot;.</translation>
    </message>
    <message>
        <source>You can look for at most {limit} types at a time. Name fewer types.</source>
        <translation>Puede buscar como máximo {limit} tipos a la vez. Indique menos tipos.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) allows at most epsilon {most}, and with this update {found} would be spent. It stays here. Whoever keeps the policy can change that.</source>
        <translation>La política de su hospital ({rule}) permite gastar épsilon {most} como máximo, y con esta actualización se gastaría {found}. Se queda aquí. Quien mantiene la política puede cambiarlo.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) allows at most rank {most}, and this has rank {found}. Nothing is trained or leaves. Start the site with --rank-cap {most}, so that it is never asked for more.</source>
        <translation>La política de su hospital ({rule}) permite el rango {most} como máximo, y esto tiene rango {found}. No se entrena nada ni sale nada. Inicie el centro con --rank-cap {most}, para que no se le pida más.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for at least {least} training notes, and this was trained on {found}. It stays here. Add notes, or ask whoever keeps the policy.</source>
        <translation>La política de su hospital ({rule}) exige al menos {least} notas de entrenamiento, y esto se entrenó con {found}. Se queda aquí. Añada notas, o pregunte a quien mantiene la política.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for differential privacy with epsilon at most {most}, and this federation trains without it. Nothing is trained or leaves. Ask its host for [training.privacy], or whoever keeps the policy to change it.</source>
        <translation>La política de su hospital ({rule}) exige privacidad diferencial con épsilon {most} como máximo, y esta federación entrena sin ella. No se entrena nada ni sale nada. Pida [training.privacy] a su anfitrión, o pida a quien mantiene la política que la cambie.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for no more than this program does.</source>
        <translation>La política de su hospital ({rule}) no exige más de lo que hace este programa.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) asks for two people: a second one must approve as well.</source>
        <translation>La política de su hospital ({rule}) exige dos personas: también debe aprobar una segunda.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) does not let this leave. It stays here. Whoever keeps the policy can change that rule.</source>
        <translation>La política de su hospital ({rule}) no permite que esto salga. Se queda aquí. Quien mantiene la política puede cambiar esa regla.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) does not let {scalar} leave, which this update still tells: it was made before the policy said so. It stays here. Whoever keeps the policy can change that.</source>
        <translation>La política de su hospital ({rule}) no deja salir {scalar}, que esta actualización todavía indica: se hizo antes de que la política lo dijera. Se queda aquí. Quien mantiene la política puede cambiarlo.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) leaves no hour of the week in which anything may leave: its files do not agree. Ask whoever keeps the policy.</source>
        <translation>La política de su hospital ({rule}) no deja ninguna hora de la semana en la que pueda salir algo: sus archivos no concuerdan. Pregunte a quien mantiene la política.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets at most {most} bytes leave, and this update has {found}. It stays here. A smaller rank makes it smaller; or ask whoever keeps the policy.</source>
        <translation>La política de su hospital ({rule}) permite que salgan {most} bytes como máximo, y esta actualización tiene {found}. Se queda aquí. Un rango menor la hace más pequeña; o pregunte a quien mantiene la política.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets nothing leave that is rated worse than {most}, and what this adapter may reveal is rated {found}. It stays here. More notes, fewer steps or a smaller learning rate reveal less.</source>
        <translation>La política de su hospital ({rule}) no permite que salga nada con una valoración peor que «{most}», y la de lo que este adaptador puede revelar es «{found}». Se queda aquí. Más notas, menos pasos o una tasa de aprendizaje menor revelan menos.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) lets only these people approve: {names}.</source>
        <translation>La política de su hospital ({rule}) solo permite aprobar a estas personas: {names}.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) requires a person here, because what this adapter may reveal could not be measured. Look at it in the desktop, or start the site without --approve-rule.</source>
        <translation>La política de su hospital ({rule}) exige una persona: no se pudo medir lo que este adaptador puede revelar. Mírelo en la aplicación de escritorio, o inicie el centro sin --approve-rule.</translation>
    </message>
    <message>
        <source>Your hospital&apos;s policy ({rule}) requires a person: a rule that approves by itself does not count here. Decide in the desktop, or start the site without --approve-rule.</source>
        <translation>La política de su hospital ({rule}) exige una persona: aquí no vale una regla que apruebe por sí sola. Decida en la aplicación de escritorio, o inicie el centro sin --approve-rule.</translation>
    </message>
    <message>
        <source>training.mention_weight cannot be used: the base model&apos;s tokenizer does not say which characters a token stands for, so the beginnings of mentions cannot be found. Take out training.mention_weight, or choose a base model with a tokenizer.json.</source>
        <translation>training.mention_weight no se puede usar: el tokenizador del modelo base no dice qué caracteres representa un token, así que no se pueden encontrar los comienzos de las menciones. Quite training.mention_weight, o elija un modelo base con tokenizer.json.</translation>
    </message>
    <message>
        <source>{address} is not a coordinator&apos;s address. Give one such as wss://federation.example.org:8765, or ws://127.0.0.1:8765 on this computer.</source>
        <translation>{address} no es la dirección de un coordinador. Indique una como wss://federation.example.org:8765 o, en este equipo, ws://127.0.0.1:8765.</translation>
    </message>
    <message>
        <source>{address} is on another computer, and a ws:// connection is not encrypted. Ask the host for an invitation, which has an encrypted address.</source>
        <translation>{address} está en otro ordenador, y una conexión ws:// no va cifrada. Pida al anfitrión una invitación, que tiene una dirección cifrada.</translation>
    </message>
    <message>
        <source>{corpus} annotates none of the experiment&apos;s types. It has: {found}. Add one of these to types, or leave the corpus out.</source>
        <translation>{corpus} no anota ninguno de los tipos del experimento. Tiene: {found}. Añada uno de estos a los tipos, o quite el corpus.</translation>
    </message>
    <message>
        <source>{corpus} has too few notes ({found}) that no site has. Choose another corpus, or ask for fewer.</source>
        <translation>{corpus} tiene muy pocas notas ({found}) que no tenga ningún centro. Elija otro corpus, o pida menos.</translation>
    </message>
    <message>
        <source>{free} is free for the folder {path}.</source>
        <translation>Hay {free} libres para la carpeta {path}.</translation>
    </message>
    <message>
        <source>{free} is free for the folder {path}; about {needed} may be needed. Free some space before the federation begins.</source>
        <translation>Hay {free} libres para la carpeta {path}; pueden hacer falta unos {needed}. Libere espacio antes de que empiece la federación.</translation>
    </message>
    <message>
        <source>{given} names no cohort. Write --cohort NAME=PATH, such as --cohort Northside=notes/northside.</source>
        <translation>{given} no nombra ninguna cohorte. Escriba --cohort NAME=PATH, como --cohort Northside=notes/northside.</translation>
    </message>
    <message>
        <source>{gpu} has {total} of memory, {free} of it free; training this model takes about {needed}.</source>
        <translation>{gpu} tiene {total} de memoria, {free} libres; entrenar este modelo necesita unos {needed}.</translation>
    </message>
    <message>
        <source>{method} does not need the coordinator to measure updates. Leave out --score-with, or set measured_by = &quot;coordinator&quot; if the method has it.</source>
        <translation>{method} no necesita que el coordinador mida las actualizaciones. Quite --score-with, o ponga measured_by = &quot;coordinator&quot; si el método lo tiene.</translation>
    </message>
    <message>
        <source>{method} needs the coordinator to measure each update, so the coordinator needs a base model and notes. Start it with --score-with MODEL NOTES, or choose another method.</source>
        <translation>{method} necesita que el coordinador mida cada actualización, así que el coordinador necesita un modelo base y notas. Inícielo con --score-with MODEL NOTES, o elija otro método.</translation>
    </message>
    <message>
        <source>{name} cannot be a site&apos;s name. Use up to 60 letters, digits, spaces and . , &apos; - &amp; ( ), and begin with a letter or digit.</source>
        <translation>{name} no puede ser el nombre de un centro. Use hasta 60 letras, cifras, espacios y . , &apos; - &amp; ( ), y empiece por una letra o cifra.</translation>
    </message>
    <message>
        <source>{name} cannot be a type. Write plain words separated by commas, such as drug, problem.</source>
        <translation>{name} no puede ser un tipo. Escriba palabras simples separadas por comas, como drug, problem.</translation>
    </message>
    <message>
        <source>{name} cannot be joined: its method {method} needs {scalar} of each update, and your hospital&apos;s policy (scalars) does not let that leave. Ask whoever keeps the policy, or the host for another method.</source>
        <translation>No es posible unirse a {name}: su método {method} necesita {scalar} de cada actualización, y la política de su hospital (scalars) no permite que eso salga. Pregunte a quien mantiene la política, o pida otro método al anfitrión.</translation>
    </message>
    <message>
        <source>{name} cannot be read as a picture. Take another one, or paste the line instead.</source>
        <translation>{name} no se puede leer como imagen. Use otra, o pegue la línea.</translation>
    </message>
    <message>
        <source>{name} cannot be the name of a module. Use the base model&apos;s own names, such as model.layers.0.self_attn.q_proj.</source>
        <translation>{name} no puede ser el nombre de un módulo. Use los nombres propios del modelo base, como model.layers.0.self_attn.q_proj.</translation>
    </message>
    <message>
        <source>{name} contains no notes that can be used. Check that it is the right file or folder.</source>
        <translation>{name} no contiene notas que se puedan usar. Compruebe que es el archivo o la carpeta correctos.</translation>
    </message>
    <message>
        <source>{name} has approved this already: your hospital&apos;s policy (four_eyes) asks for a second person. Nothing has left.</source>
        <translation>{name} ya ha aprobado esto: la política de su hospital (four_eyes) exige una segunda persona. No ha salido nada.</translation>
    </message>
    <message>
        <source>{name} is not a text file. Open a note as plain text, or copy its text and paste it.</source>
        <translation>{name} no es un archivo de texto. Abra una nota en texto sin formato, o copie su texto y péguelo.</translation>
    </message>
    <message>
        <source>{name} is not in UTF-8. Save it as UTF-8 text, or copy its text and paste it.</source>
        <translation>{name} no está en UTF-8. Guárdelo como texto UTF-8, o copie su texto y péguelo.</translation>
    </message>
    <message>
        <source>{name} may not approve here: your hospital&apos;s policy (approvers) names {names}. Nothing has left. Ask one of them.</source>
        <translation>{name} no puede aprobar aquí: la política de su hospital (approvers) nombra a {names}. No ha salido nada. Pídaselo a una de estas personas.</translation>
    </message>
    <message>
        <source>{path} already exists. Choose another --out folder; an existing federation is never overwritten.</source>
        <translation>{path} ya existe. Elija otra carpeta con --out; una federación existente nunca se sobrescribe.</translation>
    </message>
    <message>
        <source>{path} and {other} come from the same side. Compare a site&apos;s audit file with its coordinator&apos;s.</source>
        <translation>{path} y {other} son del mismo lado. Compare el archivo de auditoría de un centro con el de su coordinador.</translation>
    </message>
    <message>
        <source>{path} cannot be read ({reason}). Use the original corpus, as gzip&apos;d JSON lines.</source>
        <translation>{path} no se puede leer ({reason}). Use el corpus original, como líneas JSON comprimidas con gzip.</translation>
    </message>
    <message>
        <source>{path} cannot be used: {reason}. Copy it again from where it was made.</source>
        <translation>{path} no se puede usar: {reason}. Cópielo otra vez desde donde se hizo.</translation>
    </message>
    <message>
        <source>{path} contains no experiment. Choose a folder that fedmed-desktop --lab has written.</source>
        <translation>{path} no contiene ningún experimento. Elija una carpeta que haya escrito fedmed-desktop --lab.</translation>
    </message>
    <message>
        <source>{path} contains other files. Choose a new folder, or an empty one.</source>
        <translation>{path} contiene otros archivos. Elija una carpeta nueva o vacía.</translation>
    </message>
    <message>
        <source>{path} could not be saved: {reason}. Choose another folder or name.</source>
        <translation>{path} no se pudo guardar: {reason}. Elija otra carpeta u otro nombre.</translation>
    </message>
    <message>
        <source>{path} does not exist. Give the folder of the evaluation data with --data.</source>
        <translation>{path} no existe. Indique la carpeta de los datos de evaluación con --data.</translation>
    </message>
    <message>
        <source>{path} does not hold a secret key: 64 hexadecimal digits are needed. Restore it from a backup, or give the right file.</source>
        <translation>{path} no contiene una clave secreta: hacen falta 64 cifras hexadecimales. Restáurelo desde una copia de seguridad, o indique el archivo correcto.</translation>
    </message>
    <message>
        <source>{path} does not match what the other side recorded: entry {held} of {other} holds a hash that is not in it. Entries from {entry} on were changed or removed. Compare it with a backup.</source>
        <translation>{path} no coincide con lo que registró el otro lado: la entrada {held} de {other} contiene un hash que no está en él. Desde la entrada {entry} se modificaron o eliminaron entradas. Compárelo con una copia de seguridad.</translation>
    </message>
    <message>
        <source>{path} ends in neither .csv nor .json. Give the export one of these endings.</source>
        <translation>{path} no termina en .csv ni en .json. Dé a la exportación una de estas terminaciones.</translation>
    </message>
    <message>
        <source>{path} has a {file}, but not the experiment that it belongs to. Choose another folder as --out.</source>
        <translation>{path} tiene un {file}, pero no el experimento al que pertenece. Elija otra carpeta como --out.</translation>
    </message>
    <message>
        <source>{path} has no map for the types of {corpus}. Use the original evaluation data, or write [corpora.types].</source>
        <translation>{path} no tiene tabla para los tipos de {corpus}. Use los datos de evaluación originales, o escriba [corpora.types].</translation>
    </message>
    <message>
        <source>{path} has notes of {found} sites, but {wanted} are needed. Add folders or lower --sites.</source>
        <translation>{path} tiene notas de {found} centros, pero hacen falta {wanted}. Añada carpetas o reduzca --sites.</translation>
    </message>
    <message>
        <source>{path} holds results of {label} with other settings. Give the method a label of its own, or choose another --out.</source>
        <translation>{path} contiene resultados de {label} con otros ajustes. Dé al método una etiqueta propia, o elija otro --out.</translation>
    </message>
    <message>
        <source>{path} holds the results of another experiment ({found}), or of an earlier version of this one. Choose another --out.</source>
        <translation>{path} contiene los resultados de otro experimento ({found}), o de una versión anterior de este. Elija otro --out.</translation>
    </message>
    <message>
        <source>{path} is a packed backup. Unpack it into a folder of its own (tar -xf {path} -C FOLDER), and give that folder.</source>
        <translation>{path} es una copia de seguridad empaquetada. Desempaquétela en una carpeta aparte (tar -xf {path} -C FOLDER), e indique esa carpeta.</translation>
    </message>
    <message>
        <source>{path} is damaged in line {line}: {reason}. Remove this line and run the lab again with the same --out, or choose another folder.</source>
        <translation>{path} está dañado en la línea {line}: {reason}. Elimine esta línea y vuelva a ejecutar el laboratorio con el mismo --out, o elija otra carpeta.</translation>
    </message>
    <message>
        <source>{path} is damaged. It holds what this site learned for itself in an earlier round, which is never sent. Restore it from a backup; or remove the folder {folder}, and the site continues without it.</source>
        <translation>{path} está dañado. Contiene lo que este centro aprendió para sí mismo en una ronda anterior, que nunca se envía. Restáurelo desde una copia de seguridad; o elimine la carpeta {folder}, y el centro continúa sin ello.</translation>
    </message>
    <message>
        <source>{path} is damaged: row {row} of its table {table} {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation>{path} está dañado: la fila {row} de su tabla {table} {reason}. Restaure la carpeta {folder} desde una copia de seguridad; si no tiene ninguna, empiece en otra carpeta.</translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Choose another --out; or delete this file and cells.jsonl beside it, and run the lab again.</source>
        <translation>{path} está dañado: {reason}. Elija otro --out; o borre este archivo y el cells.jsonl que lo acompaña, y vuelva a ejecutar el laboratorio.</translation>
    </message>
    <message>
        <source>{path} is damaged: {reason}. Restore the folder {folder} from a backup; if you have none, start in another folder.</source>
        <translation>{path} está dañado: {reason}. Restaure la carpeta {folder} desde una copia de seguridad; si no tiene ninguna, empiece en otra carpeta.</translation>
    </message>
    <message>
        <source>{path} is missing or empty, but {folder} holds adapters of a federation that has started. Restore {path} from a backup, or choose another --data-dir to start again.</source>
        <translation>{path} falta o está vacío, pero {folder} contiene adaptadores de una federación ya empezada. Restaure {path} desde una copia de seguridad, o elija otra --data-dir para empezar de nuevo.</translation>
    </message>
    <message>
        <source>{path} is neither an audit file nor an export of one. Choose a data folder, its audit.sqlite, or a .json file that --verify-audit --export wrote.</source>
        <translation>{path} no es un archivo de auditoría ni una exportación de uno. Elija una carpeta de datos, su audit.sqlite o un archivo .json escrito por --verify-audit --export.</translation>
    </message>
    <message>
        <source>{path} is not a certificate in PEM form (it begins with -----BEGIN CERTIFICATE-----). Give a file of that form, with the coordinator&apos;s own certificate first.</source>
        <translation>{path} no es un certificado en forma PEM (empieza por -----BEGIN CERTIFICATE-----). Indique un archivo de esa forma, con el certificado propio del coordinador en primer lugar.</translation>
    </message>
    <message>
        <source>{path} is not a model folder: it has no {file}. Choose the folder of the language model that the host agreed on with you (in Hugging Face&apos;s format).</source>
        <translation>{path} no es una carpeta de modelo: no tiene {file}. Elija la carpeta del modelo de lenguaje que el anfitrión acordó con usted (en el formato de Hugging Face).</translation>
    </message>
    <message>
        <source>{path} is not a private key that can be used. Give the key&apos;s file in PEM form (it begins with -----BEGIN PRIVATE KEY-----).</source>
        <translation>{path} no es una clave privada que se pueda usar. Indique el archivo de la clave en forma PEM (empieza por -----BEGIN PRIVATE KEY-----).</translation>
    </message>
    <message>
        <source>{path} is not an adapter: {reason}. Choose a PEFT folder, or a .safetensors file that fedmed-desktop wrote.</source>
        <translation>{path} no es un adaptador: {reason}. Elija una carpeta PEFT, o un archivo .safetensors escrito por fedmed-desktop.</translation>
    </message>
    <message>
        <source>{path} is not linked to a federation as its host. Open it with a host&apos;s invitation, which the coordinator&apos;s command line makes with --invite-host.</source>
        <translation>{path} no está vinculada a ninguna federación como anfitrión. Ábrala con una invitación de anfitrión, que la línea de órdenes del coordinador hace con --invite-host.</translation>
    </message>
    <message>
        <source>{path} is on a file system where a database is not safe (a network drive?). Choose a local disk.</source>
        <translation>{path} está en un sistema de archivos donde una base de datos no es segura (¿una unidad de red?). Elija un disco local.</translation>
    </message>
    <message>
        <source>{path} is on a read-only disk; a disk can become read-only after a fault. Make it writable again; everything that was acknowledged is safe.</source>
        <translation>{path} está en un disco de solo lectura; un disco puede quedar en solo lectura tras un fallo. Haga que se pueda volver a escribir en él; todo aquello de lo que se acusó recibo está a salvo.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a coordinator. Choose another --data-dir for the site.</source>
        <translation>{path} es la carpeta de datos de un coordinador. Elija otra --data-dir para el centro.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a host. Choose another folder.</source>
        <translation>{path} es la carpeta de datos de un anfitrión. Elija otra carpeta.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a site or of a coordinator. Choose another folder for the host.</source>
        <translation>{path} es la carpeta de datos de un centro o de un coordinador. Elija otra carpeta para el anfitrión.</translation>
    </message>
    <message>
        <source>{path} is the data folder of a site. Choose another --data-dir for the coordinator.</source>
        <translation>{path} es la carpeta de datos de un centro. Elija otra --data-dir para el coordinador.</translation>
    </message>
    <message>
        <source>{path} is there already and holds files. Choose another name: nothing is written over.</source>
        <translation>{path} ya existe y contiene archivos. Elija otro nombre: no se sobrescribe nada.</translation>
    </message>
    <message>
        <source>{path} is there already and is not an earlier carried round. Move it away, or choose another name.</source>
        <translation>{path} ya existe y no es una ronda transportada antes. Muévalo a otro sitio, o elija otro nombre.</translation>
    </message>
    <message>
        <source>{path} is there already and is not an earlier invitation of {site} to this federation. Move it away, or choose another folder with --out.</source>
        <translation>{path} ya existe y no es una invitación anterior de {site} a esta federación. Muévalo a otro sitio, o elija otra carpeta con --out.</translation>
    </message>
    <message>
        <source>{path} is there already. Choose another name after {option}; a folder must be new or empty.</source>
        <translation>{path} ya existe. Elija otro nombre después de {option}; una carpeta debe ser nueva o estar vacía.</translation>
    </message>
    <message>
        <source>{path} is there already. Choose another name for the backup; a folder must be new or empty.</source>
        <translation>{path} ya existe. Elija otro nombre para la copia de seguridad; una carpeta debe ser nueva o estar vacía.</translation>
    </message>
    <message>
        <source>{path} no longer holds entry {entry} as it was shown, so nothing was marked. Verify the record, and compare it with a backup.</source>
        <translation>{path} ya no contiene la entrada {entry} tal como se mostró, así que no se marcó nada. Verifique el registro y compárelo con una copia de seguridad.</translation>
    </message>
    <message>
        <source>{path} was damaged, so the curves of earlier rounds are gone. It is kept as {aside}; new values are recorded again.</source>
        <translation>{path} estaba dañado, así que las curvas de rondas anteriores se han perdido. Se conserva como {aside}; los valores nuevos se vuelven a registrar.</translation>
    </message>
    <message>
        <source>{path} was signed with the key {found}, but its entries name the key {expected}. Ask its owner for an export that the owner&apos;s own key signed.</source>
        <translation>{path} se firmó con la clave {found}, pero sus entradas indican la clave {expected}. Pida a su propietario una exportación firmada con la clave propia del propietario.</translation>
    </message>
    <message>
        <source>{path} was written by a newer version of fedmed-desktop (schema {found}; this one knows {known}). Use that version or a later one.</source>
        <translation>{path} lo escribió una versión más reciente de fedmed-desktop (esquema {found}; esta conoce {known}). Use esa versión o una posterior.</translation>
    </message>
    <message>
        <source>{path}: a coordinator that adds the noise must see single updates. Write added_by = &quot;sites&quot; under [client_privacy], so that each site adds its share before it masks, or take out [secure_aggregation].</source>
        <translation>{path}: un coordinador que añade el ruido tiene que ver las actualizaciones sueltas. Escriba added_by = &quot;sites&quot; bajo [client_privacy], para que cada centro añada su parte antes de enmascarar, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a product is formed of each site&apos;s own two factors, which a sum does not show. Write combine = &quot;factors&quot; with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: un producto se forma con los dos factores propios de cada centro, que una suma no muestra. Escriba combine = &quot;factors&quot; con fed_medlora, fedavg o fedrot, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a server_step other than 1 continues from where the round started, but a stack starts afresh in each round. Write combine = &quot;factors&quot; or &quot;product&quot;, or server_step = 1.</source>
        <translation>{path}: un server_step distinto de 1 continúa desde donde empezó la ronda, pero una pila empieza de nuevo en cada ronda. Escriba combine = &quot;factors&quot; o &quot;product&quot;, o server_step = 1.</translation>
    </message>
    <message>
        <source>{path}: a stack gives each round a fresh adapter, in which no matrix has yet shown what it is worth. Write combine = &quot;product&quot;, or ranks_by = &quot;site&quot;.</source>
        <translation>{path}: al apilar, cada ronda empieza con un adaptador nuevo, en el que ninguna matriz ha mostrado aún cuánto vale. Escriba combine = &quot;product&quot; o ranks_by = &quot;site&quot;.</translation>
    </message>
    <message>
        <source>{path}: a stack holds each site&apos;s own factors side by side, which a sum does not show. Write combine = &quot;factors&quot; with fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: una pila contiene los factores propios de cada centro unos junto a otros, que una suma no muestra. Escriba combine = &quot;factors&quot; con fed_medlora, fedavg o fedrot, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: a trimmed mean needs sites that train one factor and have the other in common, else a single value means something different at each. Choose the method ffa or rolora, or write screening.robust = &quot;multi_krum&quot; or screening.action = &quot;clip&quot;.</source>
        <translation>{path}: una media recortada necesita centros que entrenen un factor y tengan el otro en común; si no, un mismo valor significa algo distinto en cada uno. Elija el método ffa o rolora, o escriba screening.robust = &quot;multi_krum&quot; o screening.action = &quot;clip&quot;.</translation>
    </message>
    <message>
        <source>{path}: adaptive_fedlora gives each site a rank by what its own update did, which a sum does not show. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: adaptive_fedlora da a cada centro un rango según lo que hizo su propia actualización, que una suma no muestra. Elija fed_medlora, fedavg o fedrot, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: entry {entry} {reason}. Keep the file as it is, and compare it with a backup and with the other side&apos;s audit file.</source>
        <translation>{path}: entrada {entry} {reason}. Conserve el archivo como está, y compárelo con una copia de seguridad y con el archivo de auditoría del otro lado.</translation>
    </message>
    <message>
        <source>{path}: fedavgm and fedadam keep means of how A and B have changed, and a product or a stack replaces A and B with others in each round. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: fedavgm y fedadam guardan medias de cómo han cambiado A y B, y un producto o una pila sustituye A y B por otras en cada ronda. Escriba combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: fedex adds what averaging the factors misses, and that is made of the single updates. Choose fed_medlora, fedavg or fedrot, or take out [secure_aggregation].</source>
        <translation>{path}: fedex añade lo que se pierde al promediar los factores, y eso se obtiene de las actualizaciones sueltas. Elija fed_medlora, fedavg o fedrot, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: fedex averages the factors and adds the part that this misses; a product or a stack misses nothing. Write combine = &quot;factors&quot;, or choose flexlora or flora.</source>
        <translation>{path}: fedex promedia los factores y añade la parte que así se pierde; un producto o una pila no pierden nada. Escriba combine = &quot;factors&quot;, o elija flexlora o flora.</translation>
    </message>
    <message>
        <source>{path}: fednova continues from where the round started, but a stack starts afresh in each round. Write combine = &quot;factors&quot; or &quot;product&quot;.</source>
        <translation>{path}: fednova continúa desde donde empezó la ronda, pero una pila empieza de nuevo en cada ronda. Escriba combine = &quot;factors&quot; o &quot;product&quot;.</translation>
    </message>
    <message>
        <source>{path}: fednova weighs an update by the steps of all sites, which are known only when all updates are there; a site masks its own before that. Choose fed_medlora or fedavg with training.epochs, or take out [secure_aggregation].</source>
        <translation>{path}: fednova pondera una actualización según los pasos de todos los centros, que solo se conocen cuando están todas las actualizaciones; un centro enmascara la suya antes de eso. Elija fed_medlora o fedavg con training.epochs, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: fedopal with on = &quot;outputs&quot; ties the notes of a step together, so that one note&apos;s share cannot be limited. Write on = &quot;weights&quot;, or take out [training.privacy].</source>
        <translation>{path}: fedopal con on = &quot;outputs&quot; liga entre sí las notas de un paso, así que no se puede limitar la parte de una nota. Escriba on = &quot;weights&quot;, o quite [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: fedrot rotates the factors without changing their product, so it only makes a difference when factors are averaged. Write combine = &quot;factors&quot;, or choose fedavg.</source>
        <translation>{path}: fedrot gira los factores sin cambiar su producto, así que solo influye cuando se promedian factores. Escriba combine = &quot;factors&quot;, o elija fedavg.</translation>
    </message>
    <message>
        <source>{path}: fedsa keeps B at the sites, so there is no product to combine or stack. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: fedsa conserva B en los centros, así que no hay ningún producto que combinar o apilar. Escriba combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: ffa keeps one A for the whole federation, which makes averaging exact; a product or a stack would replace A. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: ffa mantiene una sola A para toda la federación, lo que hace exacto el promedio; un producto o una pila sustituirían A. Escriba combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: flexlora averages products. Write combine = &quot;product&quot;, or choose fedavg.</source>
        <translation>{path}: flexlora promedia productos. Escriba combine = &quot;product&quot;, o elija fedavg.</translation>
    </message>
    <message>
        <source>{path}: flora stacks the updates. Write combine = &quot;stack&quot;, or choose fedavg.</source>
        <translation>{path}: flora apila las actualizaciones. Escriba combine = &quot;stack&quot;, o elija fedavg.</translation>
    </message>
    <message>
        <source>{path}: from the sum of two updates, each of the two sites can work out the other&apos;s. Write round.quorum = 3 or more, or take out [secure_aggregation].</source>
        <translation>{path}: a partir de la suma de dos actualizaciones, cada uno de los dos centros puede averiguar la del otro. Escriba round.quorum = 3 o más, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: in adaptive_fedlora sites have different ranks and each starts from a matrix cut to its rank in its own basis, so averaging the factors would mix values that do not belong together. Write combine = &quot;product&quot; or &quot;stack&quot;.</source>
        <translation>{path}: en adaptive_fedlora los centros tienen rangos distintos y cada uno parte de una matriz cortada a su rango en su propia base, así que promediar los factores mezclaría valores que no van juntos. Escriba combine = &quot;product&quot; o &quot;stack&quot;.</translation>
    </message>
    <message>
        <source>{path}: in fedsa half of each model stays at its site, so the size and the direction of its update cannot be known. Take out [screening], or choose another method.</source>
        <translation>{path}: en fedsa la mitad de cada modelo se queda en su centro, así que no se pueden conocer el tamaño ni la dirección de su actualización. Quite [screening], o elija otro método.</translation>
    </message>
    <message>
        <source>{path}: in the lab the coordinator has no notes of its own. Write measured_by = &quot;sites&quot;; the experiment&apos;s shared notes are then used.</source>
        <translation>{path}: en el laboratorio el coordinador no tiene notas propias. Escriba measured_by = &quot;sites&quot;; entonces se usan las notas compartidas del experimento.</translation>
    </message>
    <message>
        <source>{path}: masks fill all bits of each number, so masked updates cannot be rounded. Take out [transfer], or [secure_aggregation].</source>
        <translation>{path}: las máscaras ocupan todos los bits de cada número, así que las actualizaciones enmascaradas no se pueden redondear. Quite [transfer], o [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: most likely nothing would be learned. With {sites} sites and {values} values, the noise that hides a whole site would be, in each round, about {times} times as large as the sites&apos; mean update can be. Protect single notes or patients instead ([training.privacy]), or use many more sites, a smaller rank, the method ffa, or a larger epsilon. To try it anyway, write accept_noise = true under [client_privacy].</source>
        <translation>{path}: con {sites} centros y {values} valores, el ruido que oculta un centro entero sería en cada ronda unas {times} veces mayor de lo que puede ser la media de sus actualizaciones: lo más probable es que no se aprendiera nada. Proteja en su lugar notas o pacientes concretos ([training.privacy]), o use muchos más centros, un rango menor, el método ffa o un épsilon mayor. Para probarlo de todos modos, escriba accept_noise = true bajo [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: noise can hide a whole site only in a plain mean of what each site sends once a round. Choose fedavg, fed_medlora, fedprox, fedavgm, fedadam, fedrot, ffa, rolora, fedsa, sa_fedlora or fedopal with combine = &quot;factors&quot;, or take out [client_privacy].</source>
        <translation>{path}: el ruido solo puede ocultar un centro entero en una media simple de lo que cada centro envía una vez por ronda. Elija fedavg, fed_medlora, fedprox, fedavgm, fedadam, fedrot, ffa, rolora, fedsa, sa_fedlora o fedopal con combine = &quot;factors&quot;, o quite [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: rolora freezes one factor in each round, which makes averaging exact; a product or a stack would change both factors. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: rolora congela un factor en cada ronda, lo que hace exacto el promedio; un producto o una pila cambiarían los dos factores. Escriba combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: rolora trains each factor in every other round while the other one changes, so kept moments would be those of factors that no longer exist. Take out training.keep_moments, or choose ffa.</source>
        <translation>{path}: rolora entrena cada factor en una de cada dos rondas, y entretanto cambia el otro, así que los momentos del optimizador serían de factores que ya no existen. Quite training.keep_moments, o elija ffa.</translation>
    </message>
    <message>
        <source>{path}: scaffold sends a mean of gradients to which no noise was added. Choose another method, or take out [training.privacy].</source>
        <translation>{path}: scaffold envía una media de gradientes a la que no se añadió ruido. Elija otro método, o quite [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: scaffold with form = &quot;sgd&quot; computes gradients from the steps, which only works with SGD. Write form = &quot;gradient&quot;, or training.optimizer = &quot;sgd&quot;.</source>
        <translation>{path}: scaffold con form = &quot;sgd&quot; calcula los gradientes a partir de los pasos, lo que solo funciona con SGD. Escriba form = &quot;gradient&quot;, o training.optimizer = &quot;sgd&quot;.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates and the coordinator&apos;s must change by exactly the same numbers, so its updates are sent in float32 only. Take out [transfer], or choose another method.</source>
        <translation>{path}: las variables de control de scaffold y las del coordinador deben cambiar exactamente en los mismos números, así que sus actualizaciones solo se envían en float32. Quite [transfer], o elija otro método.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates are directions of A and B, which a product or a stack replaces with others. Write combine = &quot;factors&quot;.</source>
        <translation>{path}: las variables de control de scaffold son direcciones de A y B, que un producto o una pila sustituyen por otras. Escriba combine = &quot;factors&quot;.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s control variates come with the updates and would no longer fit the sites if an update were shortened or left out. Write screening.action = &quot;tell&quot; and screening.robust = &quot;mean&quot;, or choose another method.</source>
        <translation>{path}: las variables de control de scaffold llegan con las actualizaciones y ya no corresponderían a los centros si una actualización se acortara o se excluyera. Escriba screening.action = &quot;tell&quot; y screening.robust = &quot;mean&quot;, o elija otro método.</translation>
    </message>
    <message>
        <source>{path}: scaffold&apos;s sites send a second adapter beside the first, the change of a control variate, for which there is no mask. Choose fedprox or fedavg, or take out [secure_aggregation].</source>
        <translation>{path}: los centros de scaffold envían un segundo adaptador junto al primero, el cambio de una variable de control, para el que no hay máscara. Elija fedprox o fedavg, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: screening compares single updates, and with secure aggregation there are none to compare. Take out [screening], or [secure_aggregation].</source>
        <translation>{path}: el cribado compara actualizaciones sueltas, y con la agregación segura no hay ninguna que comparar. Quite [screening], o [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: screening judges each update by the others, so one site could affect more of the result than its own part. Take out [screening], or [client_privacy].</source>
        <translation>{path}: el cribado juzga cada actualización por las demás, así que un centro podría influir en el resultado más que con su propia parte. Quite [screening], o [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: sites add shares of the noise only where masks hide each share. Write added_by = &quot;coordinator&quot; under [client_privacy], or switch [secure_aggregation] on.</source>
        <translation>{path}: los centros solo añaden partes del ruido donde unas máscaras ocultan cada parte. Escriba added_by = &quot;coordinator&quot; bajo [client_privacy], o active [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: sites scale their updates by the largest weight that any of them can have. Write secure_aggregation.largest_weight: the most training notes of a site, or with fed_medlora the most supervised tokens, with some margin.</source>
        <translation>{path}: los centros escalan sus actualizaciones con el mayor peso que puede tener cualquiera de ellos. Escriba secure_aggregation.largest_weight: el máximo de notas de entrenamiento de un centro o, con fed_medlora, el máximo de tokens supervisados, con algo de margen.</translation>
    </message>
    <message>
        <source>{path}: the adapter is protected, but a histogram of the training notes would leave beside it as exact counts. Write histogram = &quot;none&quot; (in a federation under [share]), or take out [training.privacy].</source>
        <translation>{path}: el adaptador está protegido, pero junto a él saldría un histograma de las notas de entrenamiento con recuentos exactos. Escriba histogram = &quot;none&quot; (en una federación, bajo [share]), o quite [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: the adapter is protected, but how important each matrix is would leave beside it, from gradients without noise. Write ranks_by = &quot;site&quot;, or take out [training.privacy].</source>
        <translation>{path}: el adaptador está protegido, pero la importancia de cada matriz saldría junto a él, tomada de gradientes sin ruido. Escriba ranks_by = &quot;site&quot; o quite [training.privacy].</translation>
    </message>
    <message>
        <source>{path}: the coordinator would have to read each update to score it. Write method.measured_by = &quot;sites&quot;, or take out [secure_aggregation].</source>
        <translation>{path}: el coordinador tendría que leer cada actualización para puntuarla. Escriba method.measured_by = &quot;sites&quot;, o quite [secure_aggregation].</translation>
    </message>
    <message>
        <source>{path}: the noise hides a whole site in the adapter, but a histogram of its training notes would leave beside it as exact counts. Write histogram = &quot;none&quot; (in a federation under [share]), or take out [client_privacy].</source>
        <translation>{path}: el ruido oculta un centro entero en el adaptador, pero junto a él saldría un histograma de sus notas de entrenamiento con recuentos exactos. Escriba histogram = &quot;none&quot; (en una federación, bajo [share]), o quite [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on notes that everyone may read. Set shared_notes to 1 or more.</source>
        <translation>{path}: este método pondera los centros por sus resultados en notas que todos pueden leer. Ponga shared_notes en 1 o más.</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by their results on shared notes, which hold texts and entities, and none of the tasks is learned from these. Choose another method, or add the task &quot;entities&quot;.</source>
        <translation>{path}: este método pondera los centros por sus resultados en notas compartidas, que contienen textos y entidades, y ninguna de las tareas se aprende de ellas. Elija otro método, o añada la tarea &quot;entities&quot;.</translation>
    </message>
    <message>
        <source>{path}: this method weights sites by what their notes are about. Write share.histogram = &quot;specialties&quot; (or &quot;types&quot;), or set its semantic weight to 0.</source>
        <translation>{path}: este método pondera los centros por aquello de lo que tratan sus notas. Escriba share.histogram = &quot;specialties&quot; (o &quot;types&quot;), o ponga su peso semántico en 0.</translation>
    </message>
    <message>
        <source>{path}: where ranks follow importance, a site&apos;s matrices have ranks of their own, and the common adapter is not cut to these before it is fetched. Take out transfer.cut, or write ranks_by = &quot;site&quot;.</source>
        <translation>{path}: cuando los rangos siguen la importancia, cada matriz de un centro tiene su propio rango, y el adaptador común no se reduce a ellos antes de descargarse. Quite transfer.cut o escriba ranks_by = &quot;site&quot;.</translation>
    </message>
    <message>
        <source>{path}: where whole sites are hidden every site counts the same, and fed_medlora_plus weighs them by their losses. Choose fed_medlora, or take out [client_privacy].</source>
        <translation>{path}: donde se ocultan centros enteros todos cuentan igual, y fed_medlora_plus los pondera por sus pérdidas. Elija fed_medlora, o quite [client_privacy].</translation>
    </message>
    <message>
        <source>{path}: with combine = &quot;stack&quot; each round starts afresh, so what rounding took from one update cannot be added to the next. Write transfer.feedback = false.</source>
        <translation>{path}: con combine = &quot;stack&quot; cada ronda empieza de nuevo, así que lo que el redondeo quitó a una actualización no se puede añadir a la siguiente. Escriba transfer.feedback = false.</translation>
    </message>
    <message>
        <source>{path}: with fedex, and where updates are stacked, most of what sites download is a frozen part beside the common adapter, and that is always sent in float32. Take out transfer.down, or choose another method.</source>
        <translation>{path}: con fedex, y donde se apilan las actualizaciones, la mayor parte de lo que descargan los centros es una parte congelada junto al adaptador común, que siempre se envía en float32. Quite transfer.down, o elija otro método.</translation>
    </message>
    <message>
        <source>{path}: with fedrot each site turns its factors before they leave, so the optimiser&apos;s moments of one round would not fit the factors of the next. Take out training.keep_moments, or choose fedavg.</source>
        <translation>{path}: con fedrot cada centro gira sus factores antes de que salgan, así que los momentos del optimizador de una ronda no corresponderían a los factores de la siguiente. Quite training.keep_moments, o elija fedavg.</translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on notes that everyone may read. Add [[shared_notes]], or write measured_by = &quot;coordinator&quot; and start it with --score-with.</source>
        <translation>{path}: con measured_by = &quot;sites&quot; cada centro mide su modelo en notas que todos pueden leer. Añada [[shared_notes]], o escriba measured_by = &quot;coordinator&quot; e inícielo con --score-with.</translation>
    </message>
    <message>
        <source>{path}: with measured_by = &quot;sites&quot; each site measures its model on shared notes, which hold texts and entities, and none of the tasks is learned from these. Write measured_by = &quot;coordinator&quot; and start it with --score-with, choose another method, or add the task &quot;entities&quot;.</source>
        <translation>{path}: con measured_by = &quot;sites&quot; cada centro mide su modelo en notas compartidas, que contienen textos y entidades, y ninguna de las tareas se aprende de ellas. Escriba measured_by = &quot;coordinator&quot; e inícielo con --score-with, elija otro método, o añada la tarea &quot;entities&quot;.</translation>
    </message>
    <message>
        <source>{path}: with secure aggregation all sites take part in every round, since they mask together. Take out round.clients.</source>
        <translation>{path}: con la agregación segura todos los centros participan en cada ronda, ya que enmascaran juntos. Quite round.clients.</translation>
    </message>
    <message>
        <source>{path}: with training.keep_moments the optimiser continues with the moments of the last round, but a product or a stack gives each round factors of another basis. Write combine = &quot;factors&quot;, or take out training.keep_moments.</source>
        <translation>{path}: con training.keep_moments el optimizador continúa con los momentos de la última ronda, pero un producto o una pila dan a cada ronda factores de otra base. Escriba combine = &quot;factors&quot;, o quite training.keep_moments.</translation>
    </message>
    <message>
        <source>{path}: {key}: {reason}. Correct this key and start again.</source>
        <translation>{path}: {key}: {reason}. Corrija esta clave y vuelva a empezar.</translation>
    </message>
    <message>
        <source>{path}: {method} gives all sites the same rank, and rank {rank} is over the smallest cap, {cap}. Write rank = &quot;smallest_cap&quot; for this method, or raise hardware.caps.</source>
        <translation>{path}: {method} da a todos los centros el mismo rango, y el rango {rank} supera el límite más bajo, {cap}. Escriba rank = &quot;smallest_cap&quot; para este método, o aumente hardware.caps.</translation>
    </message>
    <message>
        <source>{share} % of the update&apos;s values were left out, as the largest or the smallest at their position; with honest sites it is about the same for all.</source>
        <translation>De los valores de la actualización se excluyó el {share}&#xa0;%, por ser los mayores o los menores en su posición; con centros honestos es más o menos igual para todos.</translation>
    </message>
    <message>
        <source>{site} could be any of these: {names}. Give the exact name, or more of the fingerprint.</source>
        <translation>{site} puede ser cualquiera de estos: {names}. Indique el nombre exacto, o más de la huella.</translation>
    </message>
    <message>
        <source>{site} has been in this federation in another role. Choose another name.</source>
        <translation>{site} ya ha tenido otro papel en esta federación. Elija otro nombre.</translation>
    </message>
    <message>
        <source>{site} has been revoked. To let it in again, use --invite with this name.</source>
        <translation>{site} ha sido revocado. Para volver a admitirlo, use --invite con este nombre.</translation>
    </message>
    <message>
        <source>{site} has joined already. If it needs a new key (another computer, a lost data folder), use --rotate; to shut it out, --revoke.</source>
        <translation>{site} ya se ha unido. Si necesita una clave nueva (otro ordenador, una carpeta de datos perdida), use --rotate; para excluirlo, --revoke.</translation>
    </message>
    <message>
        <source>{site} has no {split} notes left ({sites} sites, seed {seed}). Ask for fewer sites or more notes, raise split.validation_share, lower split.ratio, or split by something else.</source>
        <translation>A {site} no le quedan notas de {split} ({sites} centros, semilla {seed}). Pida menos centros o más notas, aumente split.validation_share, reduzca split.ratio, o divida por otra cosa.</translation>
    </message>
    <message>
        <source>{site} has not used its invitation yet. Do this once it has joined; --sites shows when.</source>
        <translation>{site} aún no ha usado su invitación. Hágalo cuando el centro se haya unido; --sites lo muestra.</translation>
    </message>
    <message>
        <source>{site} is a host of this federation, not a site. To take part as a site, join with another data folder and a site&apos;s invitation.</source>
        <translation>{site} es anfitrión de esta federación, y un anfitrión no es un centro. Únase con otra carpeta de datos y una invitación de centro.</translation>
    </message>
    <message>
        <source>{site} is a host. Hosts are invited and removed at the coordinator, with --invite-host and --revoke.</source>
        <translation>{site} es un anfitrión. A los anfitriones se les invita y se les da de baja en el coordinador, con --invite-host y --revoke.</translation>
    </message>
    <message>
        <source>{site} is connected right now, so its file is not used. Let it send its update over the connection.</source>
        <translation>{site} está conectado ahora mismo, así que su archivo no se usa. Deje que envíe su actualización por la conexión.</translation>
    </message>
    <message>
        <source>{site} is not a host of this federation. Ask for a host&apos;s invitation at the coordinator.</source>
        <translation>{site} no es anfitrión de esta federación. Pida una invitación de anfitrión en el coordinador.</translation>
    </message>
    <message>
        <source>{site} looks like {other}, which is a name in this federation already. Choose another name.</source>
        <translation>{site} se parece a {other}, que ya es un nombre en esta federación. Elija otro nombre.</translation>
    </message>
    <message>
        <source>{site} now has a different key from the one whose words you compared. Compare the six words again.</source>
        <translation>{site} ha venido con otra clave que la de las palabras que usted comparó. Compare las seis palabras otra vez.</translation>
    </message>
    <message>
        <source>{site} was not among the sites that began together, or has another key now. With secure aggregation the sites stay the same throughout. Nothing was sent in this round; ask whoever hosts the federation.</source>
        <translation>{site} no estaba entre los centros que empezaron juntos, o tiene ahora otra clave. Con la agregación segura los centros son los mismos de principio a fin. No se envió nada en esta ronda; pregunte al anfitrión de la federación.</translation>
    </message>
    <message>
        <source>{total}, of which {free} is free.</source>
        <translation>{total}, de los que hay {free} libres.</translation>
    </message>
</context>
</TS>
