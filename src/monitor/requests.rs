//! What clients ask of the monitor, and what it does about it.

use std::io;
use std::os::fd::AsFd;

use super::client::Target;
use super::exec::Exec;
use super::protocol::{Attach, ExecOrders, FromClient, Reply, Request, VERSION, parse_request};
use super::supervise::Monitor;
use crate::runtime::cgroup;
use crate::sys::{pidfd, socket};

impl Monitor {
    /// One packet of one client.
    pub(super) fn serve(&mut self, index: usize, buffer: &mut [u8]) {
        let client = &mut self.clients[index];
        let (length, mut fds) = match client.receive(buffer) {
            Ok(socket::Received::Message(length, fds)) => (length, fds),
            Ok(socket::Received::Empty) => return,
            Ok(socket::Received::Closed) | Err(_) => return client.give_up(),
        };
        let target = client.target;
        match parse_request(&buffer[..length], fds.pop()) {
            FromClient::Input(bytes) if client.attach.stdin => {
                if let Some(stdio) = self.stdio_of(target) {
                    stdio.input.push(bytes);
                }
            }
            FromClient::InputEnd if client.attach.stdin => self.end_input(target),
            FromClient::Request(request) => self.answer(index, request),
            // What is still on its way to a program that has ended.
            FromClient::Input(_) | FromClient::InputEnd => {}
            FromClient::Unknown => client.reply(&Reply::Version(VERSION)),
        }
    }

    fn answer(&mut self, index: usize, request: Request) {
        let done = match request {
            Request::Attach(attach) => {
                self.attach(index, Target::Program, attach);
                Ok(())
            }
            Request::Wait => {
                self.clients[index].waits = true;
                return;
            }
            Request::Exec(orders) => return self.exec(index, &orders),
            Request::Signal(number) | Request::Stop(number) => self.signal(number),
            Request::Resize { rows, columns } => {
                let target = self.clients[index].target;
                self.stdio_of(target)
                    .map_or(Ok(()), |stdio| stdio.resize((rows, columns)))
            }
        };
        let reply = match done {
            Ok(()) => Reply::Done,
            Err(error) => Reply::Refused(error.to_string()),
        };
        self.clients[index].reply(&reply);
    }

    fn attach(&mut self, index: usize, target: Target, attach: Attach) {
        let client = &mut self.clients[index];
        client.target = target;
        client.attach = attach;
        client.waits = true;
    }

    fn exec(&mut self, index: usize, orders: &ExecOrders) {
        self.exec_number += 1;
        let number = self.exec_number;
        match Exec::begin(number, orders, &self.init, &self.orders.launch) {
            Ok(exec) => {
                self.execs.push(exec);
                self.attach(index, Target::Exec(number), orders.attach);
            }
            Err(failure) => self.clients[index].reply(&Reply::Failed(failure)),
        }
    }

    fn signal(&self, number: i32) -> io::Result<()> {
        if number == libc::SIGKILL
            && let Some(cgroup) = &self.orders.launch.cgroup
        {
            cgroup::kill(cgroup);
        }
        pidfd::kill(self.init.pidfd.as_fd(), number)
    }
}
