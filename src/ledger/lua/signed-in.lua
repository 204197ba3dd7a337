-- Who is alive, without signing in.
--
-- KEYS   1 the sorted set of replicas, by the server's time of their last sign-in, ms
-- ARGV   1 ms for which a sign-in counts
-- Result the replicas that signed in within that time
-- Guarantee: writes nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now - ARGV[1]), '+inf')
