dnl SPDX-License-Identifier: GPL-2.0-or-later
dnl
dnl relay-authorization-map.m4 - let Sendmail relay for the clients that have
dnl logged in through perdition a short while ago; like
dnl relay-authorization.m4, and compares a record's time with the clock.
dnl
dnl So what is left in the database while perdition-pbs does not run opens
dnl nothing, and networks (ipv4_mask 24 or 16, ipv6_mask 64 or 48) are found
dnl too.  In sendmail.mc, before MAILER:
dnl
dnl   define(`confRELAY_AUTHORIZATION_DB', `/var/lib/perdition-pbs/relay')dnl
dnl   include(`/usr/share/perdition/mta-glue/sendmail/relay-authorization-map.m4')dnl
dnl
dnl Local_Relay_Auth is the place that Sendmail has for one's own tests of who
dnl is authenticated.  An -o makes a missing database an empty one.  It is
dnl looked into four times, as relay-authorization.m4 explains.
ifdef(`confRELAY_AUTHORIZATION_DB', `',
`define(`confRELAY_AUTHORIZATION_DB', `/etc/mail/popauth')')dnl
LOCAL_CONFIG
Kpbs_first hash -o confRELAY_AUTHORIZATION_DB
Kpbs_second hash -o confRELAY_AUTHORIZATION_DB
Kpbs_third hash -o confRELAY_AUTHORIZATION_DB
Kpbs_fourth hash -o confRELAY_AUTHORIZATION_DB
Kpbs sequence pbs_first pbs_second pbs_third pbs_fourth
Kpbs_number arith

LOCAL_RULESETS
SLocal_Relay_Auth
R$*			$: $&{client_addr}
R$@			$@ ?			submitted locally
RIPv6:$+		$: $1
R$+			$: <$(pbs $1 $: ? $)> $1
R<?> $-.$-.$-.$-	$: <$(pbs $1.$2.$3 $: ? $)> $1.$2
R<?> $-.$-		$: <$(pbs $1.$2 $: ? $)>
R<?> $-:$-:$-:$-:$+	$: <$(pbs $1:$2:$3:$4 $: ? $)> $1:$2:$3
R<?> $-:$-:$-		$: <$(pbs $1:$2:$3 $: ? $)>
R<?> $*			$@ ?
R<$+> $*		$: $(pbs_number l $@ $&{time} $@ $1 $)
RTRUE			$# RELAY
R$*			$@ ?
