# SPDX-License-Identifier: GPL-2.0-or-later
"""POP and IMAP servers other than Dovecot, on a Machine that has them
unpacked: on their well-known ports, with the user bob whose password is
"secret", logging to syslog."""

import signal

from harness import DEADLINE, Daemon

# Anything that it starts goes with it.
ALONE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

UNIX_USER = """
sed -i '/pam_unix.so/s/$/ nodelay/' /etc/pam.d/common-auth
echo bob:x:2000:2000::/var/home/bob:/bin/sh >>/etc/passwd
echo bob:x:2000: >>/etc/group
echo "bob:$(openssl passwd -6 secret):20000:0:99999:7:::" >>/etc/shadow
mkdir -p /var/home/bob /var/mail
: >/var/mail/bob
chown -R bob:bob /var/home/bob /var/mail/bob
"""


class PopServer(Daemon):
    """setup, run: shell scripts; the latter need not stay in front."""

    def __init__(self, machine, name, setup, run, ready):
        machine.run(setup)
        super().__init__(
            name, [*ALONE, "sh", "-euc", run + "\nexec sleep infinity"],
            machine.dir / f"{name}.output", ready=ready, prefix=machine.enter)

    def stop(self, number=signal.SIGKILL, deadline=DEADLINE):
        return super().stop(number, deadline)


def nginx(machine, addr, auth, ready):
    """A mail proxy; auth: the URL of auth_http."""
    return PopServer(machine, "nginx", f"""
        mkdir -p /var/log/nginx /var/lib/nginx
        cat >/etc/nginx/mail.conf <<'EOF'
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
user nobody nogroup;
error_log syslog:server=unix:/dev/log,nohostname,tag=nginx info;
events {{ }}
mail {{
    auth_http {auth};
    pop3_auth plain apop;
    server {{ listen {addr}:143; protocol imap; }}
    server {{ listen {addr}:110; protocol pop3; }}
}}
EOF
        """, "nginx -c /etc/nginx/mail.conf", ready)


def popa3d(machine, ready):
    return PopServer(machine, "popa3d", UNIX_USER + """
        mkdir -p /var/empty /var/lib/popa3d
        """, "popa3d -D", ready)


def courier(machine, ready):
    return PopServer(machine, "courier", UNIX_USER + """
        mkdir -p /run/courier/authdaemon /var/lib/courier
        chown -R courier /run/courier /var/lib/courier
        sed -i 's/^authmodulelist=.*/authmodulelist="authpam"/' \
            /etc/courier/authdaemonrc
        sed -i 's/^daemons=.*/daemons=20/' /etc/courier/authdaemonrc
        sed -Ei 's/^(MAXPERIP|MAXDAEMONS)=.*/\\1=200/' \
            /etc/courier/imapd /etc/courier/pop3d
        maildirmake.courier /var/home/bob/Maildir
        chown -R bob:bob /var/home/bob
        """, """
        authdaemond start
        /usr/lib/courier/imapd start
        /usr/lib/courier/pop3d start
        """, ready)


def cyrus(machine, ready):
    return PopServer(machine, "cyrus", """
        mkdir -p /var/lib/cyrus /var/spool/cyrus /var/spool/sieve /run/cyrus
        chown -R cyrus:mail /var/lib/cyrus /var/spool/cyrus /var/spool/sieve \
            /run/cyrus
        sed -i '/^popminpoll:/d' /etc/imapd.conf
        cat >>/etc/imapd.conf <<'EOF'
servername: mx
admins: cyrus
sasl_auxprop_plugin: sasldb
sasl_mech_list: PLAIN
EOF
        cat >/etc/cyrus.conf <<'EOF'
START {
    recover cmd="/usr/sbin/cyrus ctl_cyrusdb -r"
}
SERVICES {
    imap cmd="imapd" listen="127.0.0.11:143" proto="tcp4"
    pop3 cmd="pop3d" listen="127.0.0.11:110" proto="tcp4"
}
EOF
        for user in bob cyrus; do
            echo secret | saslpasswd2 -p -c -u mx $user
        done
        chmod 644 /etc/sasldb2
        touch /var/lib/cyrus/user_deny.db
        chown cyrus:mail /var/lib/cyrus/user_deny.db
        cyrus makedirs --cleansquat
        """, "/usr/sbin/cyrmaster -d", ready)
