#!lua flags=allow-oom
-- Gives a lease up.
--
-- KEYS   1 :owner
-- ARGV   1 token  2 "1": to a replica, "0": to nobody  3 that replica  4 ms for which it alone may take it
-- Guarantee: a lease that is not the token's stays. May run when the server is out of memory.

if redis.call('GET', KEYS[1]) ~= 'held ' .. ARGV[1] then
  return 0
end
if ARGV[2] == '1' then
  redis.call('SET', KEYS[1], 'released ' .. ARGV[3], 'PX', ARGV[4])
else
  redis.call('DEL', KEYS[1])
end
return 1
