FROM perl
RUN <<-"SCRIPT"
	#!/usr/bin/perl
	print "hello\n";
	SCRIPT
