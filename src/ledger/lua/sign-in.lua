#!lua flags=allow-oom
-- Notes that a replica is alive.
--
-- KEYS   1 the sorted set of replicas, by the server's time of their last sign-in, ms
-- ARGV   1 replica  2 ms for which a sign-in counts
-- Result the replicas that signed in within that time
-- Guarantee: after the server's clock stepped back nobody stays alive from the future. May run when the server is out
-- of memory: those that are gone make room first.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = string.format('%.0f', now - ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. oldest)
local fromFuture = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now), '+inf')
for i = 1, #fromFuture do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now), fromFuture[i])
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
return redis.call('ZRANGE', KEYS[1], 0, -1)
