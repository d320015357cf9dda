dnl SPDX-License-Identifier: GPL-2.0-or-later
dnl
dnl relay-authorization-socket.m4 - let Sendmail relay for the clients that
dnl have logged in through perdition a short while ago, as perdition-pbs
dnl answers from its memory (its option socketmap_socket).
dnl
dnl For a Sendmail with socket maps: sendmail -d0.13 </dev/null names SOCKETMAP.
dnl In sendmail.mc, among the other FEATURE lines and before MAILER:
dnl
dnl   include(`/usr/share/perdition/mta-glue/sendmail/relay-authorization-socket.m4')dnl
dnl
dnl To use another socket, say so before that line:
dnl
dnl   define(`confRELAY_AUTHORIZATION_SOCKET', `/run/mail/socketmap')dnl
dnl
dnl FEATURE(`drac') is stock Sendmail and asks only for recipients that need
dnl relaying; without an answer nobody is authorised.  Never add a -T to its
dnl map: any text is a yes, so that everybody could relay while perdition-pbs
dnl does not run.
ifdef(`confRELAY_AUTHORIZATION_SOCKET', `',
`define(`confRELAY_AUTHORIZATION_SOCKET', `/run/perdition-pbs/socketmap')')dnl
FEATURE(`drac', `socket local:'confRELAY_AUTHORIZATION_SOCKET)dnl
