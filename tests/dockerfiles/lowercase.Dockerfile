from alpine as base
arg x=1
env y=$x
run echo $y
copy . /src
cmd ["sh"]
