select '[1,2]'::public.vector;
