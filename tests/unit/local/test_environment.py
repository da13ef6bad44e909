"""The local cloud's processes have access to no account but its own."""

from local.environment import inherited


def test_nothing_of_the_users_cloud_is_inherited() -> None:
    environ = {
        "PATH": "/bin",
        "OMP_NUM_THREADS": "2",
        "AWS_PROFILE": "work",
        "AWS_ACCESS_KEY_ID": "real",
        "SMTP_HOST": "mail.example.com",
        "PYTHONPATH": "/elsewhere",
        "HTTPS_PROXY": "http://proxy",
    }
    assert inherited(environ) == {"PATH": "/bin", "OMP_NUM_THREADS": "2"}
