dnl SPDX-License-Identifier: GPL-2.0-or-later
dnl
dnl relay-authorization.m4 - let Sendmail relay for the clients that have
dnl logged in through perdition a short while ago.
dnl
dnl In sendmail.mc, among the other FEATURE lines and before MAILER:
dnl
dnl   include(`/usr/share/perdition/mta-glue/sendmail/relay-authorization.m4')
dnl
dnl To use another database than the default of perdition-pbs, say so before
dnl that line, without the .db at the end:
dnl
dnl   define(`confRELAY_AUTHORIZATION_DB', `/var/lib/perdition-pbs/relay')
dnl
dnl FEATURE(`drac') is stock Sendmail: a map of bare addresses, asked only for
dnl recipients that need relaying.  An -o makes a missing database mean that
dnl nobody is authorised; without it Sendmail would answer 451 to every
dnl recipient, local ones too.
dnl
dnl The database is looked into four times before a client is refused: when
dnl perdition-pbs puts a new file in the old one's place just while Sendmail
dnl opens it, Sendmail takes it for missing.  On a host whose processors have
dnl ten times the work they can do, and with a new file each second, that
dnl happens to two of a hundred that are opened; to all four, hardly ever.
ifdef(`confRELAY_AUTHORIZATION_DB', `',
`define(`confRELAY_AUTHORIZATION_DB', `/etc/mail/popauth')')dnl
LOCAL_CONFIG
Kpbs_first hash -o confRELAY_AUTHORIZATION_DB
Kpbs_second hash -o confRELAY_AUTHORIZATION_DB
Kpbs_third hash -o confRELAY_AUTHORIZATION_DB
Kpbs_fourth hash -o confRELAY_AUTHORIZATION_DB
FEATURE(`drac', `sequence pbs_first pbs_second pbs_third pbs_fourth')dnl
