# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034 # read by the scripts that source this
#
# Debian packages by what they are for; sourced by tests/run and the quickstart.

packages_build='gcc libc6-dev make autoconf automake libtool pkg-config
	libuv1-dev libssl-dev libdb5.3-dev libgdbm-dev liblmdb-dev
	libseccomp-dev libcap-ng-dev libsystemd-dev libldap-dev
	libmariadb-dev libpq-dev unixodbc-dev libcdb-dev libnsl-dev
	libcurl4-openssl-dev libhiredis-dev'
# Dovecot, with what starts it and the MTAs.
packages_servers='python3 m4 openssl netbase iproute2 util-linux dovecot-core
	dovecot-imapd dovecot-pop3d'
packages_tests='check strace curl isync fetchmail mutt ucspi-tcp mailfront
	redis-server faketime
	systemd-journal-remote db5.3-util libsasl2-modules'
# What popmap modules ask.
packages_popmap='slapd ldap-utils mariadb-server mariadb-client postgresql
	postgresql-client odbc-postgresql libsqliteodbc sqlite3 rpcbind ypserv
	yp-tools tinycdb'
# make tls-audit
packages_audit='python3 iproute2 util-linux testssl.sh openssl dnsutils'
# make bench, make bench-tls: the peers
packages_bench='python3 iproute2 util-linux openssl nginx-light
	libnginx-mod-mail haproxy dovecot-core dovecot-imapd dovecot-pop3d'
# The MTAs are fetched and unpacked, never installed (unpacked.py).
