"""Writes numbers.rs: system call numbers per architecture, from the kernel's user-space headers.

Usage: python3 numbers.py INCLUDE_X86_64 INCLUDE_AARCH64 INCLUDE_ARM > numbers.rs
(Debian: /usr/include/x86_64-linux-gnu of linux-libc-dev, /usr/aarch64-linux-gnu/include and
/usr/arm-linux-gnueabihf/include of linux-libc-dev-{arm64,armhf}-cross.)
Calls newer than the headers are listed below: since number 424 all architectures share theirs.
"""
import re
import subprocess
import sys

# linux v6.2 .. v6.18, scripts/syscall.tbl
NEWER = {451: "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount "
              "lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat "
              "removexattrat open_tree_attr file_getattr file_setattr"}
X86_64_ONLY = {"uretprobe": 335, "uprobe": 336}
COLUMNS = ["x86_64", "x32", "i386", "aarch64", "arm"]


def defined(include, source, extra=()):
    """name -> number of every __NR_ and __ARM_NR_ macro, after preprocessing"""
    command = ["cc", "-nostdinc", "-E", "-dM", "-x", "c", "-I", include, *extra, "-"]
    text = subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout
    macros = dict(re.findall(r"#define (\w+) (.+)", text))

    def value(expression):
        expression = re.sub(r"\b[A-Za-z_]\w*\b", lambda m: str(value(macros[m[0]])), expression)
        return eval(expression, {"__builtins__": {}})

    numbers = {}
    for macro, expression in macros.items():
        match = re.fullmatch(r"__(?:ARM_)?NR_(\w+)", macro)
        skip = {"syscalls", "SYSCALL_BASE", "OABI_SYSCALL_BASE", "SYSCALL_MASK", "BASE", "arch_specific_syscall"}
        if match and match[1] not in skip and not match[1].startswith("3264"):
            numbers[match[1]] = value(expression)
    return numbers


def main():
    x86, aarch64, arm = sys.argv[1:]
    x32_bit = 0x40000000
    tables = {
        "x86_64": defined(x86, "#include <asm/unistd_64.h>"),
        "x32": {k: v & ~x32_bit for k, v in defined(
            x86, f"#define __X32_SYSCALL_BIT {x32_bit}\n#include <asm/unistd_x32.h>").items() if v & x32_bit},
        "i386": defined(x86, "#include <asm/unistd_32.h>"),
        "aarch64": defined(aarch64, "#define __BITS_PER_LONG 64\n#include <asm/unistd.h>",
                           ["-U__x86_64__", "-D__aarch64__", "-D__LP64__"]),
        "arm": defined(arm, "#include <asm/unistd.h>", ["-U__x86_64__", "-D__ARM_EABI__"]),
    }
    for table in tables.values():
        for first, names in NEWER.items():
            for number, name in enumerate(names.split(), first):
                table.setdefault(name, number)
    tables["x86_64"].update(X86_64_ONLY)
    rows = []
    for name in sorted(set().union(*tables.values())):
        cells = (str(tables[column].get(name, "NO")) for column in COLUMNS)
        rows.append(f'("{name}", [{", ".join(cells)}]),')
    print("//! System call numbers by name and architecture: facts, written by `numbers.py`. Never a rule about them.")
    print("//! Columns: " + ", ".join(COLUMNS) + " (x32 without its bit 30).")
    print("\n/// Not on this architecture.\npub const NO: u32 = u32::MAX;\n")
    print(f"/// Sorted by name.\n#[rustfmt::skip]\npub static NUMBERS: [(&str, [u32; {len(COLUMNS)}]); {len(rows)}] = [")
    line = "   "
    for row in rows:
        if len(line) + len(row) > 170:
            print(line)
            line = "   "
        line += " " + row
    print(line)
    print("];")


main()
